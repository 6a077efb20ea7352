//! The views of a task: log, attempts, instances, rendered fields, XCom, details, artifacts.

use runtime::logs::{ArtifactLimits, LogKey};
use store::account::Role;
use webserver::Settings;

use super::{browser::Browser, with_a_run};
use crate::app::{App, PIPELINE};

const CHECK: &str = "/dags/pipeline/runs/one/tasks/check";

fn key(task: &str, try_number: u32) -> LogKey {
    LogKey {
        dag_id: "pipeline".to_owned(),
        run_id: "one".to_owned(),
        task_id: task.to_owned(),
        map_index: -1,
        try_number,
    }
}

async fn keep_log(app: &App, task: &str, text: &str) {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, text).unwrap();
    app.logs.put_file(&key(task, 1), &file).await.unwrap();
}

#[tokio::test]
async fn a_failure_is_explained_and_its_log_is_shown_without_scripts() {
    let app = with_a_run().await;
    keep_log(
        &app,
        "check",
        "2026-03-27T10:15:30.123Z O \u{1b}[31mrows\u{1b}[0m\n2026-03-27T10:15:31.000Z E <b>no rows</b>\n2026-03-27T10:15:31.001Z T failed\n",
    )
    .await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open(CHECK).await;
    assert_eq!(page.said(".note-bad h2"), "Failed");
    assert!(page.words(".note-bad p")[0].contains("Exit code 1."));
    assert_eq!(
        page.words(".log-line"),
        ["10:15:30.123rows", "10:15:31.000<b>no rows</b>", "10:15:31.001failed"]
    );
    assert_eq!((page.all(".log-err").len(), page.all(".log-note").len()), (1, 1));
    assert_eq!(page.attr(".log", "data-log-url"), format!("{CHECK}/log?try=1"));
    assert!(person.part(CHECK, "head").await.has(".figures"));
}

#[tokio::test]
async fn a_long_log_is_paged_and_never_shown_whole() {
    let app = with_a_run().await;
    let lines: String = (0..20_000).map(|n| format!("2026-03-27T10:15:30.123Z O line {n}\n")).collect();
    keep_log(&app, "check", &lines).await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let end = person.open(CHECK).await;
    let last = end.words(".log-line");
    assert!(last.len() < 3_000 && last.last().unwrap().ends_with("line 19999"), "{}", last.len());
    let first_of_end = last[0].clone();
    let earlier = person.open(&end.attr("a.log-edge", "href")).await;
    let before = earlier.words(".log-line");
    let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
    let covered: Vec<u32> = before.iter().map(|line| number(line)).collect();
    assert!(covered.contains(&(number(&first_of_end) - 1)), "no line is missing between two parts");
    assert!(covered.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let start = person.open(&format!("{CHECK}?try=1&from=0")).await;
    assert!(start.words(".log-line")[0].ends_with("line 0"));
    assert_eq!(start.words("a.log-edge"), ["later lines"]);
}

#[tokio::test]
async fn a_task_that_was_not_run_names_what_kept_it() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/runs/one/tasks/report").await;
    assert!(page.words(".note-bad p")[0].contains("check is failed"), "{}", page.text);
    assert!(page.said(".empty h2").contains("No log"));
    assert!(page.words(".head-actions button")[0].contains("Retry with what failed before it"));
}

#[tokio::test]
async fn a_mapped_task_leads_to_its_instances() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/pipeline/runs/one/tasks/each").await;
    assert_eq!(page.path, "/dags/pipeline/runs/one/tasks/each/instances");
    assert_eq!(page.words("tbody a.main"), ["[0]", "[1]", "[2]"]);
    assert_eq!(page.words("tbody .sub"), ["n = 1", "n = 2", "n = 3"]);
    assert!(person.open(&format!("{}?state=failed", page.path)).await.has(".empty"));
    let one = person.open(page.all("tbody a.main")[2].attr("href").unwrap()).await;
    assert!(one.said("h1").contains("[2]"));
    assert!(one.said(".head-facts").contains("n = 3"));
    assert_eq!(person.open("/dags/pipeline/runs/one/tasks/each?map_index=9").await.status, 404);
}

#[tokio::test]
async fn what_a_task_left_is_shown() {
    let app = with_a_run().await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("plots")).unwrap();
    std::fs::write(folder.path().join("plots/a b.svg"), "<svg/>").unwrap();
    app.logs.put_artifact_dir(&key("extract", 1), folder.path(), ArtifactLimits::default()).await.unwrap();
    let mut person = Browser::of(&app, Role::Viewer).await;
    let path = "/dags/pipeline/runs/one/tasks/extract";
    let page = person.open(path).await;
    assert_eq!(page.said(".artifacts a"), "plots/a b.svg");
    assert_eq!(page.attr(".artifacts a", "href"), format!("{path}/artifacts/plots/a%20b.svg?try=1"));
    assert_eq!(person.open(&page.attr(".artifacts a", "href")).await.status, 200);
    assert!(person.part(path, "artifacts").await.has(".artifacts"));

    let xcom = person.open(&format!("{path}/xcom")).await;
    assert_eq!(xcom.said("h2.mono"), "return_value");
    assert!(xcom.said("pre").contains("\"rows\": 3"));
    let rendered = person.open(&format!("{path}/rendered")).await;
    assert_eq!(rendered.said("pre"), "echo rows");
    let details = person.open(&format!("{path}/details")).await;
    assert!(details.words("dd").contains(&"bash (BashOperator)".to_owned()), "{:?}", details.words("dd"));
}

#[tokio::test]
async fn every_view_of_a_run_and_a_task_is_there() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    for start in
        ["/dags/pipeline", "/dags/pipeline/runs/one", CHECK, "/dags/pipeline/runs/one/tasks/each/instances"]
    {
        let page = person.open(start).await;
        let tabs: Vec<String> =
            page.all(".tabs a").iter().map(|tab| tab.attr("href").unwrap().to_owned()).collect();
        assert!(tabs.len() >= 2, "{start}");
        for tab in tabs {
            let view = person.open(&tab).await;
            assert_eq!((view.status, view.path.as_str()), (200, tab.as_str()));
            assert_eq!(view.all(".tabs a[aria-current]").len(), 1, "{tab}");
            assert_eq!(view.all("h1").len(), 1, "{tab}");
            assert!(
                !view.has("[style], script:not([src]), style"),
                "inline styles and scripts are refused by the policy: {tab}"
            );
        }
    }
}

const STARTER: &str =
    "dag_id: starter\ntasks: {start: {trigger_dag: {dag_id: pipeline, wait_for_completion: true}}}";

#[tokio::test]
async fn a_task_that_started_a_run_leads_to_it() {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("pipeline.yaml", PIPELINE).await;
    app.load("starter.yaml", STARTER).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    program.run("starter", "one").await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/starter/runs/one/tasks/start").await;
    let address = page.attr(".head-facts a", "href");
    assert!(address.starts_with("/dags/pipeline/runs/manual__"), "{address}");
    let run = person.open(&address).await;
    assert_eq!(run.attr(".head-note a", "href"), "/dags/starter/runs/one/tasks/start");
}

#[tokio::test]
async fn the_rounds_of_a_loop_are_told_apart() {
    let mut app = App::without_leader(Settings::default()).await;
    let repeat = "{until: '{{ result.rows > 3 }}', max_rounds: 3, on_exhausted: succeed}";
    app.load("loop.yaml", &format!("tasks: {{l: {{bash: again, repeat: {repeat}}}}}")).await;
    app.lead().await;
    super::ran(&app.program(Role::User).await, "loop", "one").await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/loop/runs/one/tasks/l").await;
    assert!(page.words(".figures div").iter().any(|figure| figure.contains("Round3 of 3")), "{}", page.text);
    assert_eq!(page.said(".note-info h2"), "No rounds are left");
    assert!(page.text.contains("Round 2, try 2"), "{}", page.text);
    let page = person.open("/dags/loop/runs/one/tasks/l/attempts").await;
    let rounds = ["Try 3round 3", "Try 2round 2", "Try 1round 1"];
    assert_eq!(page.words("tbody td:first-child"), rounds);
    assert_eq!(page.words("tbody .state").len(), 3);
    let page = person.open("/dags/loop/runs/one/tasks/l/details").await;
    assert!(page.text.contains("in at most 3 rounds; then succeed"), "{}", page.text);
}
