//! A minimal HTTP client: one connection, one request at a time.

use std::net::SocketAddr;

use crate::frame::Outcome;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FINE: &str = "http/1.1 200";
const UNWELL: &str = "http/1.1 503";

pub(super) struct Client {
    stream: TcpStream,
    secret: String,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, secret: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, secret: secret.to_owned(), buffer: Vec::new() })
    }

    /// Requests a page and reads it to its end.
    pub(super) async fn get(&mut self, path: &str) -> Outcome<()> {
        self.ask(&self.request(path), &[FINE]).await
    }

    /// Sends a JSON body, and returns the answer.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        let (secret, body) = (&self.secret, body.to_string());
        let ask = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.ask(&ask, &[FINE]).await?;
        self.body()
    }

    /// Requests the health of something, which may be bad, and returns the answer.
    pub(super) async fn probe(&mut self, path: &str) -> Outcome<Value> {
        self.ask(&self.request(path), &[FINE, UNWELL]).await?;
        self.body()
    }

    fn request(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n", self.secret)
    }

    fn body(&self) -> Outcome<Value> {
        let begin = self.buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
        Ok(serde_json::from_slice(&self.buffer[begin + 4..])?)
    }

    async fn ask(&mut self, ask: &str, expected: &[&str]) -> Outcome<()> {
        self.stream.write_all(ask.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the admin closed the connection".into());
            }
            if self.is_whole(expected)? {
                return Ok(());
            }
        }
    }

    fn is_whole(&self, expected: &[&str]) -> Outcome<bool> {
        let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
        if !expected.iter().any(|status| head.starts_with(status)) {
            return Err(format!("the admin answers {}", head.lines().next().unwrap_or_default()).into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.ok_or("the answer has no length")?.trim().parse()?;
        Ok(self.buffer.len() >= end + 4 + length)
    }
}
