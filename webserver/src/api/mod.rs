//! Airflow's REST API v2: the same paths, methods, parameters, status codes and bodies, so that its public clients work.
//!
//! What changes a run is an intent; the answer waits a moment for the engine to carry it out and shows what came of it.

mod alerts;
pub(crate) mod approvals;
pub(crate) mod assets;
mod backfills;
mod batch;
pub(crate) mod clear;
mod connections;
mod control;
mod cursor;
pub(crate) mod dags;
mod deadlines;
mod idempotency;
mod logs;
mod mark;
pub(crate) mod names;
mod partitions;
mod platform;
mod pools;
pub(crate) mod query;
pub(crate) mod runs;
mod settings;
mod shape;
mod tis;
pub(crate) mod trigger;
mod variables;
mod versions;
mod why;
mod xcoms;

use actix_web::web::{self, ServiceConfig};

use crate::error;

pub(crate) use platform::API_VERSION;

/// What a flag of a body is that is on unless it is switched off.
const fn yes() -> bool {
    true
}

/// One thing that the API can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    /// Lower-case.
    pub(crate) method: &'static str,
    /// With names in braces.
    pub(crate) path: &'static str,
    /// Airflow's `operationId`.
    pub(crate) id: &'static str,
}

/// One table for the routes and for `/openapi.json`, so that neither says what the other does not.
macro_rules! operations {
    ($($method:ident $path:literal $id:ident => $handler:path;)+) => {
        /// `/api/v2/...`
        pub(crate) fn routes(config: &mut ServiceConfig) {
            $(config.route(&pattern(concat!("/api/v2", $path)), web::$method().to($handler));)+
            $(config.route(&pattern(concat!("/api/v2", $path)), error::no_method());)+
        }

        /// Everything that the API can do.
        pub(crate) const OPERATIONS: &[Operation] =
            &[$(Operation { method: stringify!($method), path: concat!("/api/v2", $path), id: stringify!($id) }),+];
    };
}

operations! {
    get "/version" get_version => platform::version;
    get "/config" get_config => platform::config;
    get "/config/section/{section}/option/{option}" get_config_value => platform::option;
    get "/jobs" get_jobs => platform::jobs;
    get "/importErrors" get_import_errors => platform::import_errors;
    get "/importErrors/{import_error_id}" get_import_error => platform::import_error;
    get "/dagWarnings" list_dag_warnings => platform::dag_warnings;
    get "/eventLogs" get_event_logs => platform::events;
    get "/eventLogs/{event_log_id}" get_event_log => platform::event;
    get "/alerts" get_alerts => alerts::list;

    get "/pools" get_pools => pools::list;
    post "/pools" post_pool => pools::create;
    get "/pools/{pool_name}" get_pool => pools::get;
    patch "/pools/{pool_name}" patch_pool => pools::patch;
    delete "/pools/{pool_name}" delete_pool => pools::delete;
    get "/variables" get_variables => variables::list;
    post "/variables" post_variable => variables::create;
    get "/variables/{variable_key}" get_variable => variables::get;
    patch "/variables/{variable_key}" patch_variable => variables::patch;
    delete "/variables/{variable_key}" delete_variable => variables::delete;
    get "/connections" get_connections => connections::list;
    post "/connections" post_connection => connections::create;
    get "/connections/{connection_id}" get_connection => connections::get;
    patch "/connections/{connection_id}" patch_connection => connections::patch;
    delete "/connections/{connection_id}" delete_connection => connections::delete;

    get "/backfills" list_backfills => backfills::list;
    post "/backfills" create_backfill => backfills::create;
    post "/backfills/dry_run" create_backfill_dry_run => backfills::dry_run;
    get "/backfills/{backfill_id}" get_backfill => backfills::get;
    put "/backfills/{backfill_id}/pause" pause_backfill => backfills::pause;
    put "/backfills/{backfill_id}/unpause" unpause_backfill => backfills::unpause;
    put "/backfills/{backfill_id}/cancel" cancel_backfill => backfills::cancel;

    get "/assets" get_assets => assets::list;
    get "/assets/aliases" get_asset_aliases => assets::aliases;
    get "/assets/aliases/{asset_alias_id}" get_asset_alias => assets::one_alias;
    get "/assets/events" get_asset_events => assets::events;
    post "/assets/events" create_asset_event => assets::create_event;
    post "/assets/{asset_id}/materialize" materialize_asset => assets::materialize;
    get "/assets/{asset_id}/queuedEvents" get_asset_queued_events => assets::queued;
    delete "/assets/{asset_id}/queuedEvents" delete_asset_queued_events => assets::forget;
    get "/assets/{asset_id}" get_asset => assets::get;
    get "/dags/{dag_id}/assets/queuedEvents" get_dag_asset_queued_events => assets::queued_of_dag;
    delete "/dags/{dag_id}/assets/queuedEvents" delete_dag_asset_queued_events => assets::forget_of_dag;
    get "/dags/{dag_id}/assets/{asset_id}/queuedEvents" get_dag_asset_queued_event => assets::one_queued;
    delete "/dags/{dag_id}/assets/{asset_id}/queuedEvents" delete_dag_asset_queued_event => assets::forget_one;

    get "/dags" get_dags => dags::list;
    patch "/dags" patch_dags => dags::patch_many;
    get "/dagTags" get_dag_tags => dags::tags;
    get "/dagStats" get_dag_stats => dags::stats;
    get "/dagSources/{dag_id}" get_dag_source => versions::source;
    get "/dags/{dag_id}" get_dag => dags::get;
    patch "/dags/{dag_id}" patch_dag => dags::patch;
    delete "/dags/{dag_id}" delete_dag => dags::delete;
    get "/dags/{dag_id}/details" get_dag_details => dags::details;
    get "/dags/{dag_id}/dagVersions" get_dag_versions => versions::list;
    get "/dags/{dag_id}/dagVersions/{version_number}" get_dag_version => versions::get;
    get "/dags/{dag_id}/deadlineAlerts" get_dag_deadline_alerts => deadlines::alerts;
    get "/dags/{dag_id}/tasks" get_tasks => versions::tasks;
    get "/dags/{dag_id}/tasks/{task_id}" get_task => versions::task;
    patch "/dags/{dag_id}/tasks/{task_id}/switch" patch_task_switch => control::switch_task;
    post "/dags/{dag_id}/clearTaskInstances" post_clear_task_instances => clear::create;

    get "/dags/{dag_id}/dagRuns" get_dag_runs => runs::list;
    post "/dags/{dag_id}/dagRuns" trigger_dag_run => trigger::create;
    post "/dags/{dag_id}/dagRuns/list" get_list_dag_runs_batch => runs::batch;
    post "/dags/{dag_id}/dagRuns/clearPartitions" clear_dag_run_partitions => partitions::clear;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}" get_dag_run => runs::get;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}" patch_dag_run => runs::patch;
    delete "/dags/{dag_id}/dagRuns/{dag_run_id}" delete_dag_run => runs::delete;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents" get_upstream_asset_events => assets::upstream;
    post "/dags/{dag_id}/dagRuns/{dag_run_id}/clear" clear_dag_run => runs::clear;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/deadlines" get_deadlines => deadlines::list;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/pause" patch_dag_run_pause => control::pause_run;

    get "/dags/{dag_id}/dagRuns/{dag_run_id}/hitlDetails" get_hitl_details => approvals::list;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails" get_hitl_detail => approvals::get;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
        update_hitl_detail => approvals::answer;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails/tries/{try_number}"
        get_hitl_detail_try_detail => approvals::one_try;

    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances" get_task_instances => tis::list;
    post "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list" get_task_instances_batch => tis::batch;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}" patch_task_group_instances => mark::patch_group;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}" get_task_instance => tis::get;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}" patch_task_instance => mark::patch;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dry_run" patch_task_instance_dry_run => mark::dry_run;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped" get_mapped_task_instances => tis::list_mapped;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies"
        get_task_instance_dependencies => why::dependencies;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/why" get_task_instance_why => why::explain;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/hold" patch_task_instance_hold => control::hold;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/priority"
        patch_task_instance_priority => control::prioritize;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries" get_task_instance_tries => tis::tries;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}"
        get_task_instance_try_details => tis::one_try;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}" get_log => logs::get;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/externalLogUrl/{try_number}"
        get_external_log_url => logs::external;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries" get_xcom_entries => xcoms::list;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}" get_xcom_entry => xcoms::get;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}" get_mapped_task_instance => tis::get_mapped;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}"
        patch_task_instance_by_map_index => mark::patch_mapped;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dry_run"
        patch_task_instance_dry_run_by_map_index => mark::dry_run_mapped;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies"
        get_task_instance_dependencies_by_map_index => why::dependencies_mapped;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/why"
        get_task_instance_why_by_map_index => why::explain_mapped;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hold"
        patch_task_instance_hold_by_map_index => control::hold_mapped;
    patch "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/priority"
        patch_task_instance_priority_by_map_index => control::prioritize_mapped;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries"
        get_mapped_task_instance_tries => tis::tries_mapped;
    get "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}"
        get_mapped_task_instance_try_details => tis::one_try_mapped;
}

/// The router's form of a path: what is a number matches numbers only, and the key of an XCom or a variable may have slashes.
fn pattern(path: &str) -> String {
    let numbers = [
        "map_index",
        "try_number",
        "task_try_number",
        "version_number",
        "import_error_id",
        "event_log_id",
        "backfill_id",
        "asset_id",
        "asset_alias_id",
    ];
    let mut pattern = path.to_owned();
    for name in numbers {
        pattern = pattern.replace(&format!("{{{name}}}"), &format!("{{{name}:-?\\d{{1,18}}}}"));
    }
    for name in ["xcom_key", "variable_key"] {
        pattern = pattern.replace(&format!("{{{name}}}"), &format!("{{{name}:.+}}"));
    }
    pattern
}
