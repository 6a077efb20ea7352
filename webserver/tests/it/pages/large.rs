//! Pages stay small however large a DAG is.

use store::account::Role;

use super::browser::Browser;
use crate::app::App;

const TASKS: usize = 1_000;

fn large() -> String {
    let groups: String = (0..TASKS / 10)
        .map(|group| {
            let tasks: String = (0..10).map(|task| format!("      t{task}: {{empty: {{}}}}\n")).collect();
            format!("  g{group}:\n    tasks:\n{tasks}")
        })
        .collect();
    format!("dag_id: large\nschedule: null\ntasks:\n{groups}")
}

#[tokio::test]
async fn a_large_dag_is_shown_in_parts() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("large.yaml", &large()).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    for run in ["one", "two"] {
        program.run("large", run).await;
    }
    let mut person = Browser::of(&app, Role::Viewer).await;
    let grid = person.open("/dags/large").await;
    assert_eq!(grid.all("tbody tr").len(), 400);
    assert!(grid.all(".cell").len() <= 5_000);
    assert!(grid.said("nav[aria-label=Parts]").contains("rows 1 to 400 of 1100"));
    let last = person.open("/dags/large?rows=3").await;
    assert_eq!(last.all("tbody tr").len(), 300);
    assert!(last.has("tr[data-key='t-g99.t9'] a.cell.state-success"));

    let graph = person.open("/dags/large/graph").await;
    assert_eq!(graph.all(".g-node").len(), 100, "groups are closed");
    let inside = person.open(graph.all("a.g-node")[3].attr("href").unwrap()).await;
    assert_eq!(inside.all(".g-node").len(), 109);
    assert_eq!(person.open("/dags/large/graph?open=*").await.all(".g-node").len(), TASKS);

    let run = person.open("/dags/large/runs/one").await;
    assert_eq!(run.all("tbody tr").len(), 300);
    assert_eq!(person.open("/dags/large/runs/one?page=4").await.all("tbody tr").len(), 100);
}
