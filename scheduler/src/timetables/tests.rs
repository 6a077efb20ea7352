use chrono::TimeDelta;
use domain::{
    dagfile,
    timetable::{Catchup, DataInterval, Timetable},
};
use serde_json::json;
use store::{dag::LoadedDag, import_error::NewImportError};

use super::*;

const TOOK: Duration = Duration::from_secs(1);
/// From then on a file may be read again that was read now and took so long.
const AGAIN: Duration = Duration::from_secs(15);

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// The start of the run of this number.
fn start(number: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(number)
}

/// A DAG whose timetable has named 200 runs and has more of them.
fn listed(dag_id: &str) -> LoadedDag {
    let text = format!("dag_id: {dag_id}\ntasks: {{a: {{empty: {{}}}}}}");
    let mut dag = dagfile::parse(text.as_bytes(), "shop.yaml", &|_| unreachable!()).dags.remove(0).dag;
    let micros = |number: i64| start(number).timestamp_micros();
    let runs: Vec<[i64; 3]> = (0..200).map(|n| [micros(n), micros(n + 1), micros(n + 1)]).collect();
    let listing = json!({"asked_at": 0, "runs": runs, "has_more": true});
    let schedule: Timetable = serde_json::from_value(json!({"class": "x.Y", "summary": "y"})).unwrap();
    dag.schedule = schedule.with_listing(serde_json::from_value(listing).unwrap());
    dag.catchup = Catchup::All;
    LoadedDag { dag: Arc::new(dag), source: String::new(), place: (1, 1) }
}

fn file(name: &str, dags: Vec<LoadedDag>) -> LoadedFile {
    LoadedFile { file: name.to_owned(), dags, errors: Vec::new() }
}

fn broken(name: &str) -> LoadedFile {
    let error =
        NewImportError { line: None, column: None, message: String::new(), hint: None, snippet: None };
    LoadedFile { errors: vec![error], ..file(name, Vec::new()) }
}

/// So many runs of a DAG were created.
fn progress(dag_id: &str, file: &str, created: i64) -> Progress {
    let run = |number| {
        let data_interval = DataInterval { start: start(number), end: start(number + 1) };
        NextRun { logical_date: data_interval.start, data_interval, run_after: data_interval.end }
    };
    let last = (created > 0).then(|| run(created - 1));
    Progress { dag_id: DagId::new(dag_id).unwrap(), file: file.to_owned(), is_paused: false, last }
}

#[test]
fn a_file_is_read_again_when_a_list_of_it_runs_out_but_not_too_soon() {
    let (mut timetables, read) = (Timetables::default(), Instant::now());
    timetables.note_at(&file("shop.py", vec![listed("a"), listed("b")]), TOOK, read);
    let mut outworn = |created: i64, after: Duration| {
        let progress = [progress("a", "shop.py", 0), progress("b", "shop.py", created)];
        timetables.outworn_at(&progress, read + after, now())
    };
    assert!(outworn(150, AGAIN).is_empty());
    assert_eq!(outworn(151, AGAIN), ["shop.py"], "of one of its DAGs fewer than 50 are left");
    assert!(outworn(151, AGAIN - Duration::from_millis(1)).is_empty());
    assert_eq!(outworn(200, AGAIN), ["shop.py"], "none is left");
}

#[test]
fn what_a_file_told_stands_while_it_cannot_be_read() {
    let (mut timetables, read) = (Timetables::default(), Instant::now());
    timetables.note_at(&file("shop.py", vec![listed("a")]), TOOK, read);
    timetables.note_at(&broken("shop.py"), TOOK, read + AGAIN);
    let used_up = [progress("a", "shop.py", 200)];
    assert!(timetables.outworn_at(&used_up, read + AGAIN, now()).is_empty(), "it was just tried");
    assert_eq!(timetables.outworn_at(&used_up, read + AGAIN * 2, now()), ["shop.py"]);
    timetables.note_at(&file("shop.py", Vec::new()), TOOK, read);
    assert!(
        timetables.outworn_at(&used_up, read + AGAIN * 2, now()).is_empty(),
        "it has no timetable any more"
    );
}

#[test]
fn what_the_records_do_not_have_is_forgotten() {
    let (mut timetables, read) = (Timetables::default(), Instant::now());
    timetables.note_at(&file("gone.py", vec![listed("a")]), TOOK, read);
    assert!(timetables.next_asking().is_some());
    assert!(timetables.outworn_at(&[], read + AGAIN, now()).is_empty());
    assert!(timetables.next_asking().is_none());
}
