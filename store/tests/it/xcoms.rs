//! XComs and rendered fields.

use domain::{
    engine::{decision::Decisions, record::XComRecord},
    id::{RunKey, TiKey, TryKey},
    intent::Message,
    outcome::{Outcome, TryResult},
};
use serde_json::{Map, Value, json};
use store::{Error, masked_xcom::Masked, view::api_list::Ask, xcom::check_key};
use uuid::Uuid;

use crate::{
    database::Database,
    fixture::{at, queued_run, task_id, try_of},
};

async fn write(db: &Database, xcoms: Vec<(&str, i32, &str, Value)>) {
    let proof = db.lead().await;
    let (_, tis) = queued_run(db, &proof).await;
    let record = |(task, map_index, key, value): (&str, i32, &str, Value)| XComRecord {
        ti: tis[0].key,
        task_id: task_id(task),
        map_index,
        key: key.to_owned(),
        value,
    };
    let xcoms = xcoms.into_iter().map(record).collect();
    db.store.commit(&proof, &Decisions { xcoms, ..Decisions::default() }, &[]).await.unwrap();
}

#[tokio::test]
async fn one_element_is_read_without_the_others() {
    let db = Database::new().await;
    let list = json!([1, {"deep": [true]}, null]);
    let object = json!({"zeta": 1, "a": [2]});
    write(
        &db,
        vec![("a", -1, "list", list.clone()), ("a", -1, "object", object), ("a", -1, "text", json!("x"))],
    )
    .await;
    let element = async |key: &str, place: u32| {
        db.store.xcom_element(RunKey(1), &task_id("a"), -1, key, place).await.unwrap()
    };
    assert_eq!(element("list", 0).await, Some(json!(1)));
    assert_eq!(element("list", 1).await, Some(json!({"deep": [true]})));
    assert_eq!(element("list", 2).await, Some(Value::Null));
    assert_eq!(element("list", 3).await, None);
    assert_eq!(element("object", 0).await, Some(json!(["zeta", 1])));
    assert_eq!(element("object", 1).await, Some(json!(["a", [2]])));
    assert_eq!(element("object", 2).await, None);
    assert_eq!(element("text", 0).await, None);
    assert_eq!(element("unknown", 0).await, None);
    assert_eq!(db.store.xcom(RunKey(1), &task_id("a"), -1, "list").await.unwrap(), Some(list));
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_refused_before_it_harms_others() {
    let db = Database::new().await;
    let outcome = |keys: &[String]| {
        Message::Outcome(Outcome {
            attempt: TryKey { ti: TiKey { run: RunKey(1), index: 0 }, try_number: 1 },
            result: TryResult::Success,
            started_at: at(5),
            ended_at: at(6),
            worker: Uuid::nil(),
            exit_code: Some(0),
            reason: None,
            rendered_map_index: None,
            xcoms: keys.iter().map(|key| (key.clone(), json!(1))).collect(),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        })
    };
    for key in [String::new(), "k".repeat(513), "\u{1f6a2}".repeat(401)] {
        let error = db.store.post(&[outcome(&["a".to_owned()]), outcome(&[key])]).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains("1 to 512 characters")), "{error}");
    }
    assert_eq!(db.store.backlog().await.unwrap().0, 0);
    db.store.post(&[outcome(&["k".repeat(512), "\u{e9}".repeat(512)])]).await.unwrap();
}

#[tokio::test]
async fn the_longest_keys_fit_beside_the_longest_names() {
    let db = Database::new().await;
    // Signs of four bytes that do not repeat, so that PostgreSQL cannot make them shorter.
    let signs = |count: u32| -> String {
        (0..count).filter_map(|place| char::from_u32(0x2_0000 + place.wrapping_mul(7919) % 0xa000)).collect()
    };
    let (task, rare, long) = (signs(250), signs(400), "ñ".repeat(512));
    assert_eq!((task.chars().count(), rare.len()), (250, 1600));
    let keys = [rare.as_str(), &long];
    keys.iter().for_each(|key| check_key(key).unwrap());
    write(&db, keys.iter().map(|key| (task.as_str(), -1, *key, json!(1))).collect()).await;
    let entries = db.store.xcom_entries(RunKey(1), Some(&task_id(&task)), None, 10, 0).await.unwrap();
    assert_eq!(entries.len(), 2);
}

#[tokio::test]
async fn the_values_of_a_mapped_task_come_in_its_order() {
    let db = Database::new().await;
    write(&db, vec![("a", 10, "k", json!("ten")), ("a", 2, "k", json!("two")), ("b", 0, "k", json!(0))])
        .await;
    let values = db.store.xcoms_of_task(RunKey(1), &task_id("a"), "k").await.unwrap();
    assert_eq!(values, vec![(2, json!("two")), (10, json!("ten"))]);
    let at = async |place| db.store.xcom_at(RunKey(1), &task_id("a"), "k", place).await.unwrap();
    assert_eq!((at(0).await, at(1).await, at(2).await), (Some(json!("two")), Some(json!("ten")), None));
    let length =
        async |task, is_split| db.store.xcom_length(RunKey(1), &task_id(task), "k", is_split).await.unwrap();
    assert_eq!((length("a", true).await, length("a", false).await, length("none", true).await), (2, 0, 0));
    let all = db.store.xcom_entries(RunKey(1), None, None, 2, 0).await.unwrap();
    assert_eq!((all.len(), all[0].total, all[0].bytes), (2, 3, 5));
    let some = db.store.xcom_entries(RunKey(1), Some(&task_id("a")), Some(10), 10, 0).await.unwrap();
    assert_eq!(some.iter().map(|entry| entry.map_index).collect::<Vec<_>>(), vec![10]);
}

#[tokio::test]
async fn what_is_secret_in_an_xcom_is_masked_for_people_and_not_for_tasks() {
    let db = Database::new().await;
    let list = json!(["hunter2", {"pw": "hunter2", "n": 1.5}]);
    let object = json!({"hunter2": [2], "b": null});
    write(
        &db,
        vec![
            ("a", -1, "list", list.clone()),
            ("a", -1, "object", object.clone()),
            ("b", 3, "list", list.clone()),
        ],
    )
    .await;
    let mask = async |map_index: i32, key: &str, value: &Value, shown: Value| {
        let (run, task_id, key, value) = (RunKey(1), task_id("a"), key.to_owned(), value.clone());
        let masked = Masked { run, task_id, map_index, key, value, shown };
        for run in [RunKey(1), RunKey(99)] {
            db.store.mask_xcom(&Masked { run, ..masked.clone() }).await.unwrap();
        }
    };
    mask(-1, "list", &list, json!(["nothing"])).await;
    mask(-1, "list", &list, json!(["***", {"pw": "***", "n": 1.5}])).await;
    mask(-1, "object", &object, json!({"***": [2], "b": null})).await;
    // Another value under the same name, and the same value under another one.
    mask(-1, "list", &json!(["hunter3"]), json!(["wrong"])).await;
    mask(4, "list", &list, json!(["wrong"])).await;

    let shown = async |task: &str, map_index, key: &str| {
        db.store.shown_xcom(RunKey(1), &task_id(task), map_index, key).await.unwrap()
    };
    assert_eq!(shown("a", -1, "list").await, Some(json!(["***", {"pw": "***", "n": 1.5}])));
    assert_eq!(shown("b", 3, "list").await, Some(list.clone()), "nothing is known of this one");
    assert_eq!(shown("a", 0, "list").await, None);
    let element = async |key: &str, place| {
        db.store.shown_xcom_element(RunKey(1), &task_id("a"), key, place).await.unwrap()
    };
    assert_eq!(element("list", 0).await, Some(json!("***")));
    assert_eq!(element("object", 0).await, Some(json!(["***", [2]])));
    assert_eq!(element("list", 2).await, None);
    let at = db.store.shown_xcom_at(RunKey(1), &task_id("a"), "object", 0).await.unwrap();
    assert_eq!(at, Some(json!({"***": [2], "b": null})));
    let ask = Ask { limit: 10, ..Ask::default() };
    let (rows, total) = db.store.api_xcoms(&ask, true).await.unwrap();
    let values: Vec<String> = rows.iter().map(|row| row.value().unwrap().to_string()).collect();
    assert_eq!(
        (total, values.iter().filter(|value| value.contains("hunter2")).count()),
        (3, 1),
        "{values:?}"
    );
    assert_eq!(db.store.xcom(RunKey(1), &task_id("a"), -1, "list").await.unwrap(), Some(list));
}

#[tokio::test]
async fn rendered_fields_are_kept_in_order_and_may_be_written_twice() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let fields: Map<String, Value> = json!({"zz": "echo 1", "a": {"B": "x"}}).as_object().unwrap().clone();
    let unknown = TryKey { ti: TiKey { run: RunKey(99), index: 0 }, try_number: 1 };
    for _ in 0..2 {
        let rendered = [(try_of(&tis[0]), fields.clone()), (unknown, fields.clone())];
        db.store.write_rendered(&rendered).await.unwrap();
    }
    let read = db.store.rendered(try_of(&tis[0])).await.unwrap().unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["zz", "a"]);
    assert_eq!(db.store.rendered(unknown).await.unwrap(), None);
}

#[tokio::test]
async fn the_result_of_a_task_is_found_in_the_run_that_another_one_has_started() {
    let db = Database::new().await;
    let started = [("trigger_dag_id", json!("flights")), ("trigger_run_id", json!("scheduled__1"))];
    let own = started.map(|(key, value)| ("a", 3, key, value));
    let left = [("b", 1, "return_value", json!("second")), ("b", 0, "return_value", json!({"first": 1}))];
    write(&db, own.into_iter().chain(left).chain([("b", 0, "other", json!(0))]).collect()).await;
    let of = async |map_index: i32, task: &str| {
        let (by, task) = (task_id("a"), task_id(task));
        db.store.output_of_started((RunKey(1), &by, map_index), &task).await.unwrap()
    };
    assert_eq!(of(3, "b").await, [(0, json!({"first": 1})), (1, json!("second"))]);
    assert_eq!(of(3, "a").await, []);
    assert_eq!(of(0, "b").await, [], "that instance has started nothing");
}
