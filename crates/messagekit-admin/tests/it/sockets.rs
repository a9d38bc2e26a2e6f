//! Connections that are slow, broken or many.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use messagekit::Shutdown;
use messagekit_admin::Role;
use messagekit_memory::MemoryStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ask::{Console, DEADLINE};

struct Served {
    address: std::net::SocketAddr,
    viewer: String,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<Result<(), messagekit::Error>>,
}

async fn served() -> Served {
    let console = Console::of([("shop", Arc::new(MemoryStore::new()) as _)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let viewer = console.bearer(Role::Viewer);
    let (admin, asked) = (console.admin.clone(), shutdown.clone());
    let task = tokio::spawn(async move { admin.serve(listener, asked).await });
    Served { address, viewer, shutdown, task }
}

impl Served {
    /// Sends bytes and reads until the other side closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ =
            tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn end(self) {
        self.shutdown.request();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the server ends").unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_next_is_answered() {
    let served = served().await;
    let token = &served.viewer;
    let long = "x".repeat(200_000);
    let many: String = (0..5_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    for request in [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /health/live HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
        "GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_owned(),
    ] {
        let answer = served.send(request.as_bytes()).await;
        let seen: String = request.chars().take(40).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{seen}: {answer}");
    }
    let smuggled = format!(
        "POST /api/v1/dlq/1/retry HTTP/1.1\r\nhost: a\r\nauthorization: {token}\r\ncontent-length: 4\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    );
    let answer = served.send(smuggled.as_bytes()).await;
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
    let plain = format!(
        "GET /health/live HTTP/1.1\r\nhost: a\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
    );
    assert!(served.send(plain.as_bytes()).await.starts_with("HTTP/1.1 200"));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_given_up() {
    let served = served().await;
    let answer = served.send(b"GET /health/live HTTP/1.1\r\nhost: a\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_answered() {
    let served = Arc::new(served().await);
    let ask = format!(
        "GET /api/v1/dlq HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
        served.viewer
    );
    let asked = (0..500).map(|_| {
        let (served, ask) = (served.clone(), ask.clone());
        tokio::spawn(async move { served.send(ask.as_bytes()).await })
    });
    for answer in asked.collect::<Vec<_>>() {
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
    }
    Arc::into_inner(served).unwrap().end().await;
}

/// A server of one route, whose response never ends, over a paused clock.
struct Unending {
    address: std::net::SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<Result<(), messagekit::Error>>,
}

async fn unending(content_type: &'static str) -> Unending {
    let answer = move || async move {
        let first = stream::iter([Ok::<_, Infallible>("data: first\n\n")]);
        ([(header::CONTENT_TYPE, content_type)], Body::from_stream(first.chain(stream::pending())))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, shutdown) = (Router::new().route("/", get(answer)), Shutdown::new());
    let task = tokio::spawn(messagekit_admin::serve(listener, router, shutdown.clone()));
    Unending { address, shutdown, task }
}

impl Unending {
    /// Sends a request and reads the beginning of its response.
    async fn ask(&self, path: &str, until: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(until) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed after {answer:?}");
        }
        stream
    }

    /// Ends the server, and returns how long that took.
    async fn end(self) -> Duration {
        let began = tokio::time::Instant::now();
        self.shutdown.request();
        self.task.await.unwrap().unwrap();
        began.elapsed()
    }
}

/// Returns what else the server sent before it closed the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    let _ = ended.expect("the server closes");
    String::from_utf8(rest).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_ends_with_the_shutdown() {
    let served = unending("text/event-stream").await;
    let stream = served.ask("/", "first").await;
    assert_eq!(served.end().await.as_secs(), 0);
    assert_eq!(rest(stream).await, "0\r\n\r\n", "the response is whole");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_never_ends_is_closed_at_the_end_of_the_grace() {
    let served = unending("text/plain").await;
    let stream = served.ask("/", "first").await;
    assert_eq!(served.end().await.as_secs(), 10);
    assert_eq!(rest(stream).await, "", "the response was cut off");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_server_closes_its_connections() {
    let served = unending("text/plain").await;
    let stream = served.ask("/", "first").await;
    served.task.abort();
    assert_eq!(rest(stream).await, "", "the response was cut off");
}

#[tokio::test(start_paused = true)]
async fn connections_without_a_request_do_not_delay_the_shutdown() {
    let served = unending("text/plain").await;
    let unused = TcpStream::connect(served.address).await.unwrap();
    let kept_alive = served.ask("/missing", "\r\n\r\n").await;
    assert_eq!(served.end().await.as_secs(), 0);
    assert_eq!((rest(unused).await, rest(kept_alive).await), (String::new(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_holds_the_shutdown_for_the_grace_only() {
    let served = unending("text/plain").await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    // Its header arrives while the server runs.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(served.end().await <= Duration::from_secs(10));
    drop(rest(slow).await);
}
