//! The list of DAGs and the views of one DAG.

use store::account::Role;

use super::{browser::Browser, with_a_run};
use crate::app::App;

#[tokio::test]
async fn the_list_shows_every_dag_and_can_be_narrowed() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/").await;
    assert_eq!((page.status, page.path.as_str()), (200, "/dags"));
    assert_eq!(page.words("tbody a.main"), ["pipeline", "slow"]);
    assert_eq!(page.words(".dots a").len(), 1);
    assert_eq!(page.attr(".dots a", "href"), "/dags/pipeline/runs/one");
    assert!(page.attr(".dots a", "title").starts_with("one: failed"), "{}", page.attr(".dots a", "title"));

    assert_eq!(person.open("/dags?q=SLO").await.words("tbody a.main"), ["slow"]);
    assert_eq!(person.open("/dags?tag=a").await.words("tbody a.main"), ["pipeline"]);
    assert_eq!(person.open("/dags?status=failed").await.words("tbody a.main"), ["pipeline"]);
    let nothing = person.open("/dags?status=paused").await;
    assert!(nothing.said(".empty h2").contains("Nothing matches"));
    assert_eq!(person.open("/dags?q=slow&page=7").await.path, "/dags?q=slow");
}

#[tokio::test]
async fn a_switch_pauses_and_unpauses_without_scripts() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags?q=slow").await;
    assert_eq!(page.attr(".switch", "aria-checked"), "true");
    let paused = person.submit(&page, "form[action='/dags/slow/pause']", &[]).await;
    assert_eq!((paused.status, paused.path.as_str()), (200, "/dags?q=slow"));
    assert_eq!(paused.attr(".switch", "aria-checked"), "false");
    assert_eq!(paused.said(".note-good"), "slow is paused: no new runs start.");
    // The news is told once.
    assert!(!person.open("/dags?q=slow").await.has(".note-good"));
    let back = person.submit(&paused, "form[action='/dags/slow/pause']", &[]).await;
    assert_eq!(back.attr(".switch", "aria-checked"), "true");
}

#[tokio::test]
async fn the_grid_has_a_column_for_each_run_and_a_row_for_each_task() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/pipeline").await;
    assert_eq!(
        page.words("tbody .grid-task > span:not(.many)"),
        ["extract", "load", "check", "report", "each"]
    );
    let states: Vec<_> =
        page.all("tbody a.cell").iter().map(|cell| cell.attr("class").unwrap().to_owned()).collect();
    assert_eq!(
        states,
        [
            "cell state-success",
            "cell state-success",
            "cell state-failed",
            "cell state-upstream_failed",
            "cell state-success"
        ]
    );
    assert_eq!(page.attr("tr[data-key=t-each] a.cell", "title"), "each: 3 success");
    assert_eq!(page.attr("tr[data-key=t-check] a.cell", "href"), "/dags/pipeline/runs/one/tasks/check");
    assert!(page.has("a.grid-run.state-failed"));

    let part = person.part("/dags/pipeline", "grid").await;
    assert!(part.has(".grid") && !part.has(".side") && !part.has("h1"));
}

#[tokio::test]
async fn the_graph_shows_the_states_of_the_chosen_run() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/pipeline/graph").await;
    assert_eq!(page.all(".g-node").len(), 5);
    assert_eq!(page.all(".g-edge").len(), 4);
    assert_eq!(page.all("a.g-node.state-failed").len(), 1);
    assert_eq!(page.attr("a.g-node.state-failed", "href"), "/dags/pipeline/runs/one/tasks/check");
    assert_eq!(page.attr("select#run option[selected]", "value"), "one");
    let shape = person.open("/dags/pipeline/graph?run=").await;
    assert_eq!(shape.all("g.g-node.state-none").len(), 5);
    assert!(person.part("/dags/pipeline/graph", "graph").await.has("svg.graph"));
}

#[tokio::test]
async fn runs_are_listed_with_their_tasks_and_by_state() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/pipeline/runs").await;
    assert_eq!(page.words("tbody a.main"), ["one"]);
    assert_eq!(page.words("tbody .counts .state"), ["1 failed", "1 upstream failed", "5 success"]);
    assert!(person.open("/dags/pipeline/runs?state=success").await.has(".empty"));
    assert_eq!(person.open("/dags/pipeline/runs?state=failed").await.words("tbody a.main"), ["one"]);
}

#[tokio::test]
async fn details_tell_what_the_file_says() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/pipeline/details").await;
    assert!(page.said("pre.code").contains("dag_id: pipeline"));
    assert_eq!(page.words("dl.facts dd")[0], "At 02:30 every day, UTC");
    assert_eq!(page.all("ol.fields time").len(), 5);
    assert!(page.words("tbody .main").contains(&"day".to_owned()));
}

#[tokio::test]
async fn documentation_is_markdown_that_can_do_no_harm() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    let doc = "  # Why\n\n  <script>alert(1)</script>\n\n  [x](javascript:alert(1)) [y](https://example.com/) **now**\n";
    let file = format!("dag_id: told\nschedule: null\ndoc: |\n{doc}tasks:\n  a: {{bash: 'true'}}\n");
    app.load("told.yaml", &file).await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/told/details").await;
    assert_eq!(page.said(".prose h3"), "Why");
    assert_eq!(page.said(".prose strong"), "now");
    assert_eq!(page.words(".prose a"), ["y"]);
    assert_eq!(page.words(".prose p")[0], "<script>alert(1)</script>");
    assert!(!page.has("main script"));
}

#[tokio::test]
async fn the_platform_tells_who_does_the_work() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/platform").await;
    assert_eq!(page.words(".figures dt")[..2], ["Scheduler", "Workers"]);
    assert_eq!(page.words(".figures dd")[0], "leading");
    assert_eq!(page.attr(".side > nav a[aria-current]", "href"), "/platform");
    let part = person.part("/platform", "platform").await;
    assert!(part.has(".figures") && !part.has(".side"));
}

#[tokio::test]
async fn a_broken_file_is_told_on_its_dag_and_in_the_list_of_errors() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("slow.yaml", crate::app::SLOW).await;
    app.load("slow.yaml", "dag_id: slow\nschedule: null\ntasks:\n  nap: {bsh: wait}\n").await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let list = person.open("/dags").await;
    assert!(list.said("tr[data-key=slow] a[href='/import-errors']").contains("error"));
    assert_eq!(list.words(".side .count"), ["1", "1"]);
    let dag = person.open("/dags/slow").await;
    assert!(dag.said(".frame .place").starts_with("slow.yaml:4:"), "{}", dag.text);
    let errors = person.open("/import-errors").await;
    assert!(errors.said(".frame-text").contains("bsh"), "{}", errors.text);
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_with_a_way_back() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    for path in [
        "/dags/nothing",
        "/dags/a%20b",
        "/dags/pipeline/runs/none",
        "/dags/pipeline/runs/none/tasks/extract",
        "/dags/..%2f..%2fetc/graph",
        "/nowhere",
    ] {
        let page = person.open(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.attr("a.button-main", "href"), "/dags", "{path}");
        assert_eq!(page.said("h1"), "Not found");
    }
}
