//! The server: binding, the one list of routes, draining.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compress, from_fn},
    web::{self, Data, PayloadConfig, QueryConfig},
};
use runtime::shutdown::Shutdown;
use tracing::info;

use crate::{
    AppState, api, artifacts, auth, error, front, health, live, log, metrics, openapi, pages, static_files,
    tasks,
};

/// A connection that sends nothing for this long is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The head of a request must have come after this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections of one thread.
const MOST_CONNECTIONS: usize = 4_096;

/// Why the server did not start or run on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {host}:{port}: {reason}")]
    Bind {
        /// The address or host name.
        host: String,
        /// The port.
        port: u16,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The server broke down.
    #[error("the web server stopped: {0}")]
    Server(#[from] io::Error),
}

/// Listens and serves until `shutdown` says otherwise.
///
/// # Errors
/// [`Error::Bind`] when the address cannot be listened on.
pub async fn run(state: AppState, shutdown: Shutdown) -> Result<(), Error> {
    let listener = bind(&state.settings.host, state.settings.port)?;
    serve(listener, state, shutdown).await
}

/// Takes an address. The port that was really taken is the listener's [`TcpListener::local_addr`].
///
/// # Errors
/// [`Error::Bind`], with words for the usual reasons.
pub fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind((host, port)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| Error::Bind { host: host.to_owned(), port, reason: explain(&source, port) })
}

/// Serves on a listener until `shutdown.drain`: then requests under way may end, unless `shutdown.now` comes first.
///
/// # Errors
/// [`Error::Server`] when the listener or a thread breaks down.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: Shutdown) -> Result<(), Error> {
    let address = listener.local_addr()?;
    let told = tokio::spawn(state.live.clone().listen(state.queue.clone(), shutdown.clone()));
    let settings = state.settings.clone();
    let server = HttpServer::new(move || application(state.clone()))
        .workers(settings.threads.max(1))
        .max_connections(MOST_CONNECTIONS)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(settings.drain_timeout.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    announce(address);
    let handle = server.handle();
    let mut running = tokio::spawn(server);
    tokio::select! {
        () = shutdown.drain.cancelled() => {}
        // It broke down by itself.
        ended = &mut running => {
            told.abort();
            return ended.map_err(io::Error::other)?.map_err(Error::Server);
        }
    }
    tokio::select! {
        () = handle.stop(true) => {}
        () = shutdown.now.cancelled() => handle.stop(false).await,
    }
    told.abort();
    running.await.map_err(io::Error::other)?.map_err(Error::Server)
}

/// All there is, in the order in which it is looked up.
pub(crate) fn application(
    state: AppState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(PayloadConfig::new(state.settings.body_limit))
        .app_data(QueryConfig::default().error_handler(|fault, _| error::bad_query(&fault).into()))
        .app_data(Data::new(state))
        .wrap(Compress::default())
        .wrap(from_fn(front::answer))
        .configure(health::routes)
        .configure(metrics::routes)
        .configure(static_files::routes)
        .configure(auth::routes)
        .configure(live::routes)
        .configure(log::routes)
        .configure(artifacts::routes)
        .configure(openapi::routes)
        .configure(tasks::routes)
        .configure(api::routes)
        .configure(pages::routes)
        .default_service(web::to(error::nothing_here))
}

fn announce(address: SocketAddr) {
    info!(%address, "the web server listens");
}

fn explain(error: &io::Error, port: u16) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        return format!(
            "port {port} is in use by another program; stop that one, or choose another port with --port or TRADEWIND_PORT \
             (0 takes a free one)"
        );
    }
    if kind == io::ErrorKind::PermissionDenied {
        return format!(
            "ports below 1024 are for root; choose another than {port} with --port or TRADEWIND_PORT"
        );
    }
    if kind == io::ErrorKind::AddrNotAvailable {
        return "this machine does not have that address; use 127.0.0.1 for this machine alone or 0.0.0.0 for every network \
                (--host or TRADEWIND_HOST)"
            .to_owned();
    }
    format!("{error}; is the address right (--host or TRADEWIND_HOST)?")
}
