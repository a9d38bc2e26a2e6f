//! Calls over connections that are slow, cut or waiting.

use std::net::SocketAddr;

use messagekit::Shutdown;
use messagekit_admin::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::shop::{Shop, TOPIC, numbers};
use crate::ask::DEADLINE;

struct Served {
    shop: Shop,
    address: SocketAddr,
    bearer: String,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), messagekit::Error>>,
}

async fn served() -> Served {
    let shop = Shop::with(1, 0..3).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
    let (admin, asked) = (shop.console.admin.clone(), shutdown.clone());
    let task = tokio::spawn(async move { admin.serve(listener, asked).await });
    Served { address, bearer: shop.console.bearer(Role::Service), shutdown, task, shop }
}

impl Served {
    fn head(&self, length: usize) -> String {
        format!(
            "POST /v1/api/topics/consume HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            self.bearer
        )
    }

    /// Sends a call, and leaves its connection open.
    async fn ask(&self, body: &Value) -> TcpStream {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{}{body}", self.head(body.len())).as_bytes()).await.unwrap();
        stream
    }

    /// Waits until the file knows so many groups: each has begun its first look.
    async fn until_groups(&self, count: usize) {
        let known = async {
            while self.shop.rows("SELECT * FROM system.topic_offsets").await.as_array().unwrap().len() < count
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, known).await.expect("every group is known");
    }
}

async fn answer(mut stream: TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server answers").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return (text, Value::Null) };
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_slowly_is_read() {
    let served = served().await;
    let body = json!({"topic_id": TOPIC, "start": "Earliest"}).to_string();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in served.head(body.len()).bytes().chain(body.bytes()) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (status, body) = answer(stream).await;
    assert_eq!((status.as_str(), numbers(&body)), ("HTTP/1.1 200 OK", vec![0, 1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_does_nothing() {
    let served = served().await;
    let body = json!({"topic_id": TOPIC, "group_id": "g", "start": "Earliest"}).to_string();
    for sent in 0..body.len() {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!("{}{}", served.head(body.len()), &body[..sent]);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(served.shop.rows("SELECT * FROM system.topic_offsets").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_every_wait_with_a_whole_answer() {
    let served = served().await;
    let mut streams = Vec::new();
    for number in 0..5 {
        let group = format!("g-{number}");
        streams.push(served.ask(&json!({"topic_id": TOPIC, "group_id": group, "timeout_seconds": 25})).await);
    }
    served.until_groups(5).await;
    served.shutdown.request();
    timeout(DEADLINE, served.task).await.expect("the server ends").unwrap().unwrap();
    for stream in streams {
        let (status, body) = answer(stream).await;
        assert_eq!((status.as_str(), numbers(&body)), ("HTTP/1.1 200 OK", vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_loses_no_record() {
    let served = served().await;
    let waits = |group: &str| json!({"topic_id": TOPIC, "group_id": group, "timeout_seconds": 25, "lease_seconds": 1});
    for number in 0..20 {
        let gone = served.ask(&waits(&format!("g-{number}"))).await;
        served.until_groups(number + 1).await;
        drop(gone);
    }
    let stays = served.ask(&waits("stays")).await;
    served.until_groups(21).await;
    served.shop.fill(3..4).await;
    assert_eq!(numbers(&answer(stays).await.1), [3]);
    for number in 0..20 {
        let found = served.ask(&waits(&format!("g-{number}"))).await;
        assert_eq!(numbers(&answer(found).await.1), [3], "what a server had claimed for it comes again");
    }
}
