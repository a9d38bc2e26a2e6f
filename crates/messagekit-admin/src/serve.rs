//! Serving a router to connections that may be slow, many or hostile.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use messagekit::{Error, Shutdown};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How many connections are open at once; further ones wait.
const CONNECTIONS: usize = 1_024;
/// How long a connection may take for the head of a request, and stay idle between two.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of the head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// How long requests have to end after the shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `router` over HTTP/1.1 until the shutdown, then gives open requests 10 seconds.
///
/// At most 1,024 connections are open; a request's head has 10 seconds and 64 KiB. There is no TLS: bind to loopback, or put
/// a proxy with TLS in front that keeps the headers `Host` and `Origin`.
///
/// # Errors
/// None today: a connection that cannot be accepted is logged, and the next one is waited for.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> Result<(), Error> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(MAX_HEAD);
    let accepted = async || {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // An answer of several packets would else wait for the caller's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return (stream, slot);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Out of file descriptors: trying at once would spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accepted() => accepted,
            () = shutdown.clone() => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A connection that breaks is its caller's matter.
            let _ = connection.await;
            drop(slot);
        });
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open at the end of the grace");
    }
    Ok(())
}
