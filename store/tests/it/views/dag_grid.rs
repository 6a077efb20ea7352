//! The grid.

use domain::{
    id::RunKey,
    state::{
        RunState, RunType,
        TaskState::{Failed, Success},
    },
};
use store::view::dag_grid::{Cell, Filter};

use super::{ended_run, filter};
use crate::{
    database::Database,
    fixture::{at, dag_id, save_dag, task_id},
};

#[tokio::test]
async fn mapped_instances_are_counted_by_state() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    ended_run(&db, &proof, &dag, 1, &[("a", -1, Success)]).await;
    let mapped = [("a", -1, Failed), ("m", 0, Success), ("m", 1, Success), ("m", 2, Failed)];
    ended_run(&db, &proof, &dag, 2, &mapped).await;

    let all = filter(|f: &mut Filter| f.limit = 10);
    let mut grid = db.store.dag_grid(&dag_id("flights"), &all).await.unwrap();
    assert_eq!(grid.runs.iter().map(|run| run.key.0).collect::<Vec<_>>(), [2, 1]);
    grid.tasks.iter_mut().for_each(|row| row.cells.sort_by_key(|cell| (cell.run, cell.count)));
    let cell = |run, state, count| Cell { run, state, count, try_number: 1 };
    let cells: Vec<(&str, &[Cell])> =
        grid.tasks.iter().map(|row| (row.task_id.as_str(), &row.cells[..])).collect();
    let a = [cell(0, Failed, 1), cell(1, Success, 1)];
    let m = [cell(0, Failed, 1), cell(0, Success, 2)];
    assert_eq!(cells, [("a", &a[..]), ("m", &m[..])]);
}

#[tokio::test]
async fn runs_are_filtered_and_paged_by_cursor() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    ended_run(&db, &proof, &dag, 1, &[("a", -1, Success)]).await;
    ended_run(&db, &proof, &dag, 2, &[("a", -1, Failed), ("m", 0, Success)]).await;
    let shape = async |filter: Filter| {
        let grid = db.store.dag_grid(&dag_id("flights"), &filter).await.unwrap();
        (grid.runs.len(), grid.tasks.len())
    };
    let all = filter(|f: &mut Filter| f.limit = 10);
    assert_eq!(shape(all.clone()).await, (2, 2));
    assert_eq!(shape(Filter { limit: 1, ..all.clone() }).await, (1, 2));
    assert_eq!(shape(Filter { before: Some((at(21), RunKey(2))), ..all.clone() }).await, (1, 1));
    assert_eq!(shape(Filter { types: vec![RunType::Manual], ..all.clone() }).await, (0, 0));
    assert_eq!(shape(Filter { states: vec![RunState::Running], ..all.clone() }).await, (0, 0));
    assert_eq!(shape(Filter { tasks: vec![task_id("m")], ..all }).await, (2, 1));
}
