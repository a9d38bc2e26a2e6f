//! Servers that answer as none of messagekit does.

use messagekit_client::{Client, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Returns the error of a request that is answered with this text.
async fn answered_with(answer: String) -> messagekit::Error {
    let strange = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", strange.local_addr().unwrap()), "mk_1").unwrap();
    let server = async {
        let (mut connection, _) = strange.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0, "the request is whole");
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection
    };
    let (answer, _connection) = tokio::join!(client.latest_offsets("shop.orders", &[0]), server);
    answer.unwrap_err()
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_strange_answer_is_an_unknown_outcome_and_is_not_shown() {
    for text in [
        answer("200 OK", "<h1>hunter2</h1>"),
        answer("200 OK", "[]"),
        answer("200 OK", "{\"offsets\": [{\"hunter2\": 1}]}"),
        answer("502 Bad Gateway", "<h1>hunter2</h1>"),
        "hunter2\r\n\r\n".to_owned(),
    ] {
        let error = answered_with(text.clone()).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::OutcomeUnknown, true), "{text}");
        assert!(!messagekit::chain(&error).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_announced_as_too_long_is_not_read() {
    let error = answered_with("HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n{".to_owned()).await;
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.to_string().contains("too long"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_an_error_and_takes_the_token_nowhere() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    let error = answered_with(moved).await;
    assert_eq!((error.kind(), error.context("status")), (ErrorKind::Other, Some("302")));
}
