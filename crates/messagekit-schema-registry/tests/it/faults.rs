//! Servers that do not answer as a registry should.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::ThreadId;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_schema_registry::{ConfluentRegistry, SchemaFormat, SchemaId, SchemaRegistry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::events::{ORDER_PLACED, document};

/// A server that answers each request with the same text, and keeps what it was sent.
struct Server {
    address: String,
    requests: Arc<AtomicUsize>,
    last: Arc<std::sync::Mutex<String>>,
}

impl Server {
    async fn new(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (requests, last) = (Arc::<AtomicUsize>::default(), Arc::<std::sync::Mutex<String>>::default());
        let (counted, kept) = (Arc::clone(&requests), Arc::clone(&last));
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = vec![0; 65_536];
                let read = connection.read(&mut request).await.unwrap_or_default();
                counted.fetch_add(1, Ordering::SeqCst);
                *kept.lock().unwrap() = String::from_utf8_lossy(&request[..read]).into_owned();
                // A client that has given up does not read it.
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, requests, last }
    }

    fn registry(&self) -> ConfluentRegistry {
        ConfluentRegistry::new(&self.address).unwrap().basic("me", "hunter2")
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn refusal(answer: String) -> Error {
    Server::new(answer).await.registry().schema(SchemaId(7)).await.expect_err("is refused")
}

#[tokio::test]
async fn each_answer_has_the_kind_that_says_what_to_do() {
    for (status, body, kind) in [
        ("404 Not Found", r#"{"error_code": 40403, "message": "Schema 7 not found"}"#, ErrorKind::NotFound),
        ("404 Not Found", "<h1>nginx</h1>", ErrorKind::InvalidConfiguration),
        (
            "404 Not Found",
            r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#,
            ErrorKind::InvalidConfiguration,
        ),
        ("401 Unauthorized", "", ErrorKind::Unauthorized),
        ("403 Forbidden", r#"{"error_code": 40301, "message": "no"}"#, ErrorKind::Unauthorized),
        ("429 Too Many Requests", "", ErrorKind::Unavailable),
        ("500 Internal Server Error", r#"{"error_code": 50001, "message": "store"}"#, ErrorKind::Unavailable),
        ("503 Service Unavailable", "", ErrorKind::Unavailable),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", "", ErrorKind::Other),
        ("200 OK", "<h1>welcome</h1>", ErrorKind::InvalidConfiguration),
        ("200 OK", r#"{"schema": 7}"#, ErrorKind::InvalidConfiguration),
        ("200 OK", r#"{"schema": "x", "schemaType": "THRIFT"}"#, ErrorKind::Undecodable),
    ] {
        let error = refusal(answer(status, body)).await;
        assert_eq!(error.kind(), kind, "{status} {body}: {error}");
        let shown = messagekit::chain(&error);
        assert!(!shown.contains("hunter2") && !shown.contains("bWU6aHVudGVyMg=="), "{shown}");
    }
    let error = refusal("no HTTP at all".to_owned()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = refusal("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_owned()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_in_the_words_of_the_server() {
    let body = r#"{"error_code": 409, "message": "reader field `note` has no default"}"#;
    let server = Server::new(answer("409 Conflict", body)).await;
    let schema = document(SchemaFormat::Avro, ORDER_PLACED);
    let error = server.registry().register("orders/value", &schema).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("reader field `note` has no default"), "{error}");
    let request = server.last.lock().unwrap().clone();
    assert!(request.starts_with("POST /subjects/orders%2Fvalue/versions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Basic bWU6aHVudGVyMg=="), "{request}");
}

/// Keeps every line that any crate logs, by thread: tests run beside each other, and a line shows 16 bytes.
struct Lines(std::sync::Mutex<HashMap<ThreadId, Vec<String>>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut lines = self.0.lock().unwrap();
        lines.entry(std::thread::current().id()).or_default().push(record.args().to_string());
    }

    fn flush(&self) {}
}

static LINES: LazyLock<Lines> = LazyLock::new(|| Lines(std::sync::Mutex::default()));

/// Returns the bytes of a line that shows them in hexadecimal digits, in front of two spaces.
fn shown(line: &str) -> String {
    let digits: Vec<u8> =
        line.split("  ").next().unwrap_or_default().bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8_lossy(&digits.chunks(2).filter_map(byte).collect::<Vec<_>>()).into_owned()
}

/// The client for HTTP logs what it sends byte by byte.
#[tokio::test]
async fn a_password_is_in_no_log_at_level_trace() {
    log::set_logger(&*LINES).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = Server::new(answer("404 Not Found", "{}")).await;
    for (registry, sent) in [
        (server.registry(), "Basic bWU6aHVudGVyMg=="),
        (ConfluentRegistry::new(&server.address).unwrap().bearer("hunter2").unwrap(), "Bearer hunter2"),
    ] {
        registry.schema(SchemaId(7)).await.expect_err("there is none");
        assert!(server.last.lock().unwrap().contains(sent), "the server gets it");
    }
    let lines = LINES.0.lock().unwrap();
    let texts: Vec<String> = lines
        .values()
        .map(|lines| lines.iter().map(|line| shown(line)).collect::<String>() + &lines.concat())
        .collect();
    assert!(texts.iter().any(|text| text.contains("authorization: ****")), "the client logs what it sends");
    for text in texts {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    }
}

#[tokio::test]
async fn the_next_server_is_tried_where_one_does_not_answer() {
    let failing = Server::new(answer("500 Internal Server Error", "")).await;
    let good = Server::new(answer("200 OK", r#"{"schema": "\"string\""}"#)).await;
    let addresses = format!("http://127.0.0.1:1, {}, {}", failing.address, good.address);
    let found = ConfluentRegistry::new(&addresses).unwrap().schema(SchemaId(7)).await.unwrap();
    assert_eq!((found.document.format, &*found.document.text), (SchemaFormat::Avro, "\"string\""));
    assert_eq!(failing.requests.load(Ordering::SeqCst), 1);

    // What one server does not know yet, the next one may; the one that has answered is asked first from then on.
    let refusing = Server::new(answer("404 Not Found", r#"{"error_code": 40403}"#)).await;
    let registry = ConfluentRegistry::new(&format!("{},{}", refusing.address, good.address)).unwrap();
    for _ in 0..3 {
        registry.schema(SchemaId(7)).await.unwrap();
    }
    let requests = |server: &Server| server.requests.load(Ordering::SeqCst);
    assert_eq!((requests(&refusing), requests(&good)), (1, 4));
    let registry = ConfluentRegistry::new(&format!("http://127.0.0.1:1,{}", refusing.address)).unwrap();
    assert_eq!(registry.schema(SchemaId(7)).await.expect_err("unknown").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_number_that_no_server_has_is_not_asked_for() {
    let server = Server::new(answer("404 Not Found", r#"{"error_code": 404}"#)).await;
    let error = server.registry().schema(SchemaId(u32::MAX)).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_token_is_checked_and_nothing_secret_is_shown() {
    let registry = || ConfluentRegistry::new("http://a").unwrap();
    assert!(registry().bearer("hunter2").is_ok());
    for token in ["", "hunter2\n", "hunter 2"] {
        let error = registry().bearer(token).expect_err("no token");
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(!error.to_string().contains("hunter"), "{error}");
    }
    let shown =
        format!("{:?} {:?}", registry().basic("me", "hunter2"), registry().bearer("hunter2").unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("bWU6aHVudGVyMg=="), "{shown}");
    assert!(registry().timeout(Duration::ZERO).is_err());
    assert!(registry().certificate_authority(std::path::Path::new("/nothing")).is_err());
}

#[tokio::test]
async fn a_silent_server_is_left_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let registry = ConfluentRegistry::new(&address).unwrap().timeout(Duration::from_millis(50)).unwrap();
    let error = registry.schema(SchemaId(7)).await.expect_err("no answer");
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_schema_that_refers_to_itself_ends() {
    let body = r#"{"schema": "\"string\"", "references": [{"name": "a", "subject": "s", "version": 1}]}"#;
    let found = Server::new(answer("200 OK", body)).await.registry().schema(SchemaId(7)).await.unwrap();
    assert_eq!(found.dependencies, ["\"string\""]);
}

#[test]
fn a_program_that_ends_waits_for_no_silent_server() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{0},http://{0}", silent.local_addr().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // 10 s for each server.
    let registry = ConfluentRegistry::new(&address).unwrap();
    runtime.spawn(async move { registry.schema(SchemaId(7)).await });
    let _asked = silent.accept().unwrap();
    let ends = std::time::Instant::now();
    drop(runtime);
    assert!(ends.elapsed() < Duration::from_secs(5), "{:?}", ends.elapsed());
}
