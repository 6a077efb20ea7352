//! What must be true of the records after everything is over, whatever was killed, stopped or cut off meanwhile. Each query finds what
//! is wrong, in words.

use std::{collections::BTreeMap, path::Path};

use tokio_postgres::Client;

const LAWS: [(&str, &str); 8] = [
    (
        "every run succeeded",
        "SELECT format('%s %s is %s', dag_id, run_id, state) FROM dag_run WHERE state <> 'success'",
    ),
    (
        "no instance is stuck, and each succeeded",
        "SELECT format('%s %s[%s] is %s', r.run_id, t.task_id, t.map_index, t.state)
         FROM task_instance t JOIN dag_run r ON r.key = t.run_key WHERE t.state <> 'success'",
    ),
    (
        "each instance succeeded exactly once, with its last try",
        "SELECT format('%s %s[%s] succeeded in tries %s', r.run_id, t.task_id, t.map_index, array_agg(s.try_number))
         FROM task_instance t JOIN dag_run r ON r.key = t.run_key
         LEFT JOIN task_try s ON s.run_key = t.run_key AND s.index = t.index AND s.state = 'success'
         GROUP BY r.run_id, t.run_key, t.index HAVING array_agg(s.try_number) <> ARRAY[t.try_number]",
    ),
    (
        "the tries of an instance are numbered without gaps",
        "SELECT format('%s %s[%s]: try %s, recorded %s', r.run_id, t.task_id, t.map_index, t.try_number,
                       array_agg(s.try_number ORDER BY s.try_number))
         FROM task_instance t JOIN dag_run r ON r.key = t.run_key
         LEFT JOIN task_try s ON s.run_key = t.run_key AND s.index = t.index
         GROUP BY r.run_id, t.run_key, t.index
         HAVING array_agg(s.try_number ORDER BY s.try_number) <> ARRAY(SELECT generate_series(1, t.try_number))",
    ),
    (
        "no two tries of an instance were claimed at the same time",
        "SELECT format('%s[%s]: try %s began before try %s was over', b.run_key, b.index, b.try_number, a.try_number)
         FROM task_try a JOIN task_try b
         ON b.run_key = a.run_key AND b.index = a.index AND b.try_number > a.try_number AND b.started_at < a.ended_at",
    ),
    (
        "a lost try uses up no retry",
        "SELECT format('%s[%s]: try %s of %s', run_key, task_id, try_number, max_tries)
         FROM task_instance WHERE max_tries <> try_number - 1",
    ),
    (
        "every result was kept",
        "SELECT format('%s %s[%s] left no XCom', t.run_key, t.task_id, t.map_index) FROM task_instance t
         LEFT JOIN xcom x ON x.run_key = t.run_key AND x.task_id = t.task_id AND x.map_index = t.map_index
         WHERE t.operator = 'BashOperator' AND x.key IS DISTINCT FROM 'return_value'",
    ),
    ("nothing waits to be applied", "SELECT format('message %s', id) FROM inbox"),
];

/// All of it.
pub async fn is_clean(database: &Client) {
    for (law, query) in LAWS {
        let rows = database.query(query, &[]).await.unwrap_or_else(|error| panic!("{law}: {error:?}"));
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(found.is_empty(), "not true that {law}: {found:#?}");
    }
}

/// Compares what the tasks themselves did, one line `RUN TASK MAP_INDEX TRY` for each, with the records: every instance did it, none
/// did it twice, and only those in `repeated` did it in more than one try. Returns how many instances there are.
pub async fn effects_are_single(database: &Client, file: &Path, repeated: &[&str]) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let mut done: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (instance, number) = line.rsplit_once(' ').unwrap();
        done.entry(instance).or_default().push(number);
    }
    let query = "SELECT format('%s %s %s', r.run_id, t.task_id, t.map_index), t.try_number::text
                 FROM task_instance t JOIN dag_run r ON r.key = t.run_key WHERE t.operator = 'BashOperator'";
    let rows = database.query(query, &[]).await.unwrap();
    for row in &rows {
        let (instance, last): (String, String) = (row.get(0), row.get(1));
        let mut tries = done.remove(instance.as_str()).unwrap_or_default();
        tries.sort_unstable();
        if repeated.contains(&instance.as_str()) {
            tries.retain(|&number| number == last);
        }
        assert_eq!(tries, [last], "the effects of {instance}");
    }
    assert!(done.is_empty(), "effects without a record: {done:?}");
    rows.len()
}
