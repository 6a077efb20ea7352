//! Pages for people, one file each: what it is asked, what it shows, how it answers.
//!
//! Every page takes a [`visit::Visit`], reads what it shows from the store and fills in a template. Whatever changes a run is a
//! wish that the engine carries out; a form answers with a way to the page that shows what became of it. Pages work without
//! scripts; a script asks for the parts that change, by the header `X-Fragment`.

mod alerts;
mod approvals;
mod assets;
mod audit;
mod audit_line;
mod connections;
mod dag;
mod dags;
mod deed;
mod drawing;
pub(crate) mod error;
mod form;
mod frame;
mod import_errors;
mod pager;
pub(crate) mod parts;
mod paths;
mod platform;
mod pools;
mod prose;
mod question;
mod run;
mod shelf;
pub(crate) mod sign_in;
mod tally;
mod task;
mod theme;
mod trigger;
mod variables;
mod visit;
mod words;

use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    web::{self, Data, ServiceConfig},
};

use self::shelf::Shelf;

/// All pages but the one to sign in.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .app_data(Data::new(Shelf::default()))
        .route("/", web::get().to(home))
        .route("/dags", web::get().to(dags::show))
        .route("/import-errors", web::get().to(import_errors::show))
        .route("/assets", web::get().to(assets::show))
        .route("/assets/{id:\\d{1,18}}", web::get().to(assets::one))
        .route("/assets/{id:\\d{1,18}}/events", web::post().to(assets::update))
        .route("/assets/{id:\\d{1,18}}/materialize", web::post().to(assets::materialize))
        .route("/alerts", web::get().to(alerts::show))
        .route("/alerts/send", web::post().to(alerts::send))
        .route("/approvals", web::get().to(approvals::show))
        .route("/approvals/answer", web::post().to(approvals::answer))
        .route("/audit", web::get().to(audit::show))
        .route("/platform", web::get().to(platform::show))
        .route("/theme", web::post().to(theme::change))
        .configure(dag_routes)
        .configure(run_routes)
        .configure(task_routes)
        .configure(resource_routes);
}

fn dag_routes(config: &mut ServiceConfig) {
    config
        .route("/dags/{dag_id}", web::get().to(dag::grid::show))
        .route("/dags/{dag_id}/graph", web::get().to(dag::graph::show))
        .route("/dags/{dag_id}/runs", web::get().to(dag::runs::show))
        .route("/dags/{dag_id}/details", web::get().to(dag::details::show))
        .route("/dags/{dag_id}/pause", web::post().to(dag::pause))
        .route("/dags/{dag_id}/backfills", web::get().to(dag::backfills::show))
        .route("/dags/{dag_id}/backfills", web::post().to(dag::backfills::start))
        .route("/dags/{dag_id}/backfills/{id:\\d{1,18}}/pause", web::post().to(dag::backfills::pause))
        .route("/dags/{dag_id}/backfills/{id:\\d{1,18}}/cancel", web::post().to(dag::backfills::cancel))
        .route("/dags/{dag_id}/trigger", web::get().to(trigger::show))
        .route("/dags/{dag_id}/trigger", web::post().to(trigger::start));
}

fn run_routes(config: &mut ServiceConfig) {
    config
        .route("/dags/{dag_id}/runs/{run_id}", web::get().to(run::tasks::show))
        .route("/dags/{dag_id}/runs/{run_id}/graph", web::get().to(run::graph::show))
        .route("/dags/{dag_id}/runs/{run_id}/details", web::get().to(run::details::show))
        .route("/dags/{dag_id}/runs/{run_id}/pause", web::post().to(run::actions::pause))
        .route("/dags/{dag_id}/runs/{run_id}/stop", web::post().to(run::actions::stop))
        .route("/dags/{dag_id}/runs/{run_id}/clear", web::get().to(run::clear::show))
        .route("/dags/{dag_id}/runs/{run_id}/clear", web::post().to(run::clear::perform))
        .route("/dags/{dag_id}/runs/{run_id}/mark", web::post().to(run::actions::mark));
}

fn task_routes(config: &mut ServiceConfig) {
    let task = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}";
    config
        .route(task, web::get().to(task::log::show))
        .route(&format!("{task}/instances"), web::get().to(task::instances::show))
        .route(&format!("{task}/attempts"), web::get().to(task::attempts::show))
        .route(&format!("{task}/rendered"), web::get().to(task::rendered::show))
        .route(&format!("{task}/xcom"), web::get().to(task::xcom::show))
        .route(&format!("{task}/details"), web::get().to(task::details::show))
        .route(&format!("{task}/clear"), web::post().to(task::actions::clear))
        .route(&format!("{task}/mark"), web::post().to(task::actions::mark))
        .route(&format!("{task}/hold"), web::post().to(task::actions::hold))
        .route(&format!("{task}/priority"), web::post().to(task::actions::prioritize))
        .route(&format!("{task}/switch"), web::post().to(task::actions::switch));
}

fn resource_routes(config: &mut ServiceConfig) {
    config
        .route("/pools", web::get().to(pools::show))
        .route("/pools", web::post().to(pools::save))
        .route("/pools/delete", web::post().to(pools::delete))
        .route("/variables", web::get().to(variables::show))
        .route("/variables", web::post().to(variables::save))
        .route("/variables/delete", web::post().to(variables::delete))
        .route("/connections", web::get().to(connections::show))
        .route("/connections", web::post().to(connections::save))
        .route("/connections/delete", web::post().to(connections::delete));
}

async fn home() -> HttpResponse {
    std::future::ready(HttpResponse::SeeOther().insert_header((LOCATION, "/dags")).finish()).await
}
