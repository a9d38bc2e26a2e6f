//! Servers that do not answer.

use std::io;
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_client::{Consumer, ErrorKind, Message};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(300);

async fn never(_: Message) -> Result<(), io::Error> {
    unreachable!("nothing is claimed")
}

#[tokio::test]
async fn a_shutdown_ends_the_wait_for_a_silent_server() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let consumer = Consumer::new(&url, "mk_1", "shop.orders", "shipping").unwrap();
    let shutdown = Shutdown::new();
    let run = tokio::spawn(consumer.wait(Duration::from_secs(3_600)).run(never, shutdown.clone()));
    let (mut connection, _) = silent.accept().await.unwrap();
    let mut beginning = [0; 10];
    connection.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"POST /v1/a");
    shutdown.request();
    tokio::time::timeout(DEADLINE, run).await.expect("the run ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_stays_away_ends_a_run_that_gives_up() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let consumer = Consumer::new(&url, "mk_1", "shop.orders", "shipping").unwrap();
    let run = consumer.give_up_after(Duration::ZERO).run(never, std::future::pending());
    let error = tokio::time::timeout(DEADLINE, run).await.expect("the run ends").unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true));
    assert!(error.to_string().starts_with("no answer (server 127.0.0.1:"), "{error}");
}

#[test]
fn an_empty_group_or_a_token_that_is_none_is_refused() {
    for (token, group) in
        [("mk_1", " "), ("", "shipping"), ("mk hunter2", "shipping"), ("mk_1\r\nx: y", "shipping")]
    {
        let error = Consumer::new("http://127.0.0.1:1", token, "shop.orders", group).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
