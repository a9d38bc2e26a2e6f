//! Serving a router to slow, numerous or hostile connections.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use messagekit::{Error, Shutdown};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many connections may be open at once; further ones wait.
const CONNECTIONS: usize = 1_024;
/// How long a connection may take for the head of a request, and may be idle between two requests.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of the head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// How long open requests may take after the shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `router` over HTTP/1.1 until the shutdown, then gives open requests 10 seconds, and closes what is open after that.
///
/// Server-sent events (`text/event-stream`) and waits for records end with the shutdown: their callers connect to another process. At most 1,024 connections are open; a request's head has 10 seconds and 64 KiB. There is no TLS: bind to loopback,
/// or use a proxy with TLS in front that forwards the headers `Host` and `Origin`.
///
/// # Errors
/// None today: the server logs a connection that it cannot accept, and waits for the next one.
///
/// # Cancel safety
/// Dropping the future closes all connections.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> Result<(), Error> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let router = router.layer(from_fn_with_state(shutdown.clone(), end_event_stream));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(MAX_HEAD);
    let accepted = async || {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Otherwise a response of several packets waits for the caller's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return (stream, slot);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // No file descriptor is left: an immediate retry would spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accepted() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.clone() => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            // A broken connection concerns only its caller.
            let _ = connection.await;
            drop(slot);
        });
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open at the end of the grace, and their connections are closed");
    }
    Ok(())
}

/// Ends a stream of events with the shutdown: by itself it ends when its caller leaves. Handlers that wait see the shutdown.
async fn end_event_stream(State(shutdown): State<Shutdown>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(shutdown.clone());
    let response = next.run(request).await;
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if !content_type.is_some_and(|value| value.starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(shutdown.into_future())))
}
