//! The list of DAGs.

use domain::state::RunState;
use store::{
    dag::LoadedFile,
    import_error::NewImportError,
    view::{
        Page,
        dags::{Filter, Order},
    },
};

use super::{ended_run, filter, texts};
use crate::{
    database::Database,
    fixture::{dag, dag_id, file, queued_run, save_dag, task},
};

/// `flights` with a running run, `Weather` with two failed ones, `zoo` paused and with a broken file, `gone` without one.
async fn four_dags() -> Database {
    let db = Database::new().await;
    let proof = db.lead().await;
    queued_run(&db, &proof).await;
    let weather = save_dag(&db, &proof, "Weather").await;
    ended_run(&db, &proof, &weather, 5, &[]).await;
    ended_run(&db, &proof, &weather, 6, &[]).await;
    let mut zoo = dag("zoo", vec![task("a")]);
    (zoo.tags, zoo.owner) = (texts(&["b"]), "bob".to_owned());
    db.store.save(&proof, &[file("zoo.yaml", vec![zoo])]).await.unwrap();
    db.store.set_paused(&dag_id("zoo"), true, "ann").await.unwrap();
    save_dag(&db, &proof, "gone").await;
    let broken: NewImportError = filter(|error: &mut NewImportError| error.message = "broken".to_owned());
    let broken = LoadedFile { errors: vec![broken], ..file("zoo.yaml", vec![]) };
    db.store.save(&proof, &[file("gone.yaml", vec![]), broken]).await.unwrap();
    db
}

async fn ids(db: &Database, filter: &Filter, page: Page) -> (String, i64) {
    let list = db.store.dag_lines(filter, 0, page).await.unwrap();
    let ids: Vec<&str> = list.rows.iter().map(|line| line.dag_id.as_str()).collect();
    (ids.join(" "), list.total)
}

#[tokio::test]
async fn they_are_searched_and_filtered() {
    let db = four_dags().await;
    for (filter, found) in [
        (Filter::default(), "flights Weather zoo"),
        (filter(|f: &mut Filter| f.search = Some("WEA".to_owned())), "Weather"),
        (filter(|f: &mut Filter| f.search = Some("%".to_owned())), ""),
        (filter(|f: &mut Filter| f.tags = texts(&["a", "b"])), "flights Weather zoo"),
        (filter(|f: &mut Filter| (f.tags, f.all_tags) = (texts(&["a", "b"]), true)), "flights Weather"),
        (filter(|f: &mut Filter| f.owner = Some("bob".to_owned())), "zoo"),
        (filter(|f: &mut Filter| f.is_paused = Some(false)), "flights Weather"),
        (filter(|f: &mut Filter| f.last_run = Some(RunState::Failed)), "Weather"),
        (filter(|f: &mut Filter| f.with_stale = true), "flights gone Weather zoo"),
    ] {
        assert_eq!(ids(&db, &filter, Page::first(10)).await.0, found, "{filter:?}");
    }
}

#[tokio::test]
async fn they_are_ordered_and_paged() {
    let db = four_dags().await;
    for (order, up, down) in [
        (Order::DagId, "flights Weather zoo", "zoo Weather flights"),
        (Order::LastRun, "flights Weather zoo", "Weather flights zoo"),
        (Order::LastRunState, "Weather flights zoo", "flights Weather zoo"),
        (Order::NextRun, "flights Weather zoo", "flights Weather zoo"),
    ] {
        let ascending = filter(|f: &mut Filter| f.order = order);
        assert_eq!(ids(&db, &ascending, Page::first(10)).await.0, up, "{order:?}");
        let descending = Filter { is_descending: true, ..ascending };
        assert_eq!(ids(&db, &descending, Page::first(10)).await.0, down, "{order:?} descending");
    }
    let all = Filter::default();
    assert_eq!(ids(&db, &all, Page::new(1, 1)).await, ("Weather".to_owned(), 3));
    assert_eq!(ids(&db, &all, Page::new(1, 9)).await, (String::new(), 3));
}

#[tokio::test]
async fn each_line_tells_how_its_dag_is() {
    let db = four_dags().await;
    let lines = db.store.dag_lines(&Filter::default(), 1, Page::first(10)).await.unwrap().rows;
    let [flights, weather, zoo] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((flights.running, flights.queued), (1, 0));
    assert_eq!(flights.recent[0].state, RunState::Running);
    assert_eq!((weather.recent.len(), weather.recent[0].run_id.as_str()), (1, "scheduled__6"));
    assert_eq!((zoo.has_import_errors, zoo.is_paused, zoo.recent.len()), (true, true, 0));
    let one = db.store.dag_line(&dag_id("Weather"), 14).await.unwrap().unwrap();
    assert_eq!((one.recent.len(), one.version_number, one.schedule.as_str()), (2, 1, "30 2 * * *"));
    assert_eq!(db.store.dag_line(&dag_id("unknown"), 14).await.unwrap(), None);
}

#[tokio::test]
async fn they_are_counted_and_their_tags_listed() {
    let db = four_dags().await;
    let counts = db.store.dag_counts().await.unwrap();
    assert_eq!((counts.all, counts.active, counts.paused), (3, 2, 1));
    assert_eq!((counts.running, counts.failed, counts.broken_files), (1, 1, 1));
    let tags = db.store.dag_tags("", Page::first(1)).await.unwrap();
    assert_eq!((tags.rows, tags.total), (texts(&["a"]), 2));
    assert_eq!(db.store.dag_tags("B", Page::first(9)).await.unwrap().rows, texts(&["b"]));
}
