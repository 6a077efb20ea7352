//! Numbers for Prometheus: requests from this process's memory, everything else from the store, read when it is asked for.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge as Number, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::sync::atomic::AtomicU64;
use store::view::api_metrics::{Gauge, QueueLoad};

use crate::{AppState, error::Error};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

type Float = Number<f64, AtomicU64>;
type Labelled = Family<Vec<(&'static str, String)>, Float>;

/// What this process has seen.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        // From half a millisecond to eight seconds.
        let buckets = || Histogram::new((0..15).map(|power| 0.0005 * f64::from(1_u32 << power)));
        let durations: Family<Route, Histogram> = Family::new_with_constructor(buckets);
        let mut registry = Registry::with_prefix("tradewind");
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time to the head of the answer",
            Unit::Seconds,
            durations.clone(),
        );
        Self { registry, requests, durations }
    }
}

impl Metrics {
    /// Counts a request. `route` is the pattern, never the path: there are only so many.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let request = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&request).inc();
        self.durations.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }
}

/// `/metrics`. It needs no sign-in, and holds numbers only.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/metrics", web::get().to(metrics));
}

async fn metrics(state: Data<AppState>) -> Result<HttpResponse, Error> {
    let mut text = String::new();
    let failed = |fault: std::fmt::Error| Error::Internal(fault.to_string());
    encode(&mut text, &state.metrics.registry).map_err(failed)?;
    let own = text.trim_end_matches("# EOF\n").to_owned();
    let mut seen = String::new();
    encode(&mut seen, &platform(&state).await).map_err(failed)?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(own + &seen))
}

async fn platform(state: &AppState) -> Registry {
    let mut registry = Registry::with_prefix("tradewind");
    let gauges = state.store.gauges().await;
    plain(
        &mut registry,
        "database_up",
        "Whether the database answers",
        if gauges.is_ok() { 1.0 } else { 0.0 },
    );
    if let Ok(gauges) = gauges {
        from_store(&mut registry, &gauges);
    }
    if let Ok(loads) = state.store.queue_loads().await {
        queues(&mut registry, state, &loads).await;
    }
    plain(&mut registry, "live_pages", "Pages that are told about changes", number(state.live.clients()));
    let pool = state.store.pool_status();
    plain(&mut registry, "database_connections", "Connections to the database", number(pool.size));
    plain(&mut registry, "database_waiting", "Callers that wait for a connection", number(pool.waiting));
    if let Some(bytes) = resident_bytes() {
        plain(&mut registry, "process_resident_memory_bytes", "Memory of this process", bytes);
    }
    registry
}

fn from_store(registry: &mut Registry, gauges: &[Gauge]) {
    let of = |name: &str| gauges.iter().filter(move |gauge| gauge.name == name).cloned().collect::<Vec<_>>();
    by_kind(registry, "dag_runs", "Runs that are not over, by state", "state", &of("runs"));
    by_kind(
        registry,
        "dag_runs_ended_recently",
        "Runs that ended in the last five minutes, by state",
        "state",
        &of("ended"),
    );
    by_kind(
        registry,
        "task_instances",
        "Task instances of runs that are not over, by state",
        "state",
        &of("tasks"),
    );
    by_kind(registry, "dags", "DAGs that have a file, paused or not", "kind", &of("dags"));
    by_kind(registry, "workers", "Workers, by state", "state", &of("workers"));
    let one = |name: &str| of(name).first().map_or(0.0, |gauge| gauge.value);
    plain(registry, "worker_slots", "Tasks that all running workers can run at the same time", one("slots"));
    plain(registry, "inbox_messages", "Messages that wait for the engine", one("inbox"));
    if let Some(beat) = of("heartbeat").first() {
        plain(
            registry,
            "scheduler_heartbeat_age_seconds",
            "Time since the leader renewed its lease",
            beat.value,
        );
    }
}

async fn queues(registry: &mut Registry, state: &AppState, loads: &[QueueLoad]) {
    let (recorded, waiting) = (Labelled::default(), Labelled::default());
    for load in loads {
        let labels = vec![("queue", load.queue.clone())];
        recorded.get_or_create(&labels).set(number(load.queued));
        let Ok(name) = queue::QueueName::new(load.queue.as_str()) else {
            continue;
        };
        if let Ok(depth) = state.queue.depth(&name).await {
            waiting.get_or_create(&labels).set(number(depth));
        }
    }
    registry.register("queued_task_instances", "Task instances that are queued by the records", recorded);
    registry.register("ready_queue_depth", "Tickets in the ready queue", waiting);
}

fn by_kind(registry: &mut Registry, name: &str, help: &str, label: &'static str, gauges: &[Gauge]) {
    let family = Labelled::default();
    for gauge in gauges {
        family.get_or_create(&vec![(label, gauge.kind.clone().unwrap_or_default())]).set(gauge.value);
    }
    registry.register(name, help, family);
}

fn plain(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Float::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

// Counts here are far below the 2^53 that are exact.
fn number<T: TryInto<u32>>(count: T) -> f64 {
    count.try_into().map_or(f64::from(u32::MAX), f64::from)
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(f64::from(kib) * 1_024.0)
}
