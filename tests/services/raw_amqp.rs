//! A publisher that writes AMQP 0-9-1 byte by byte, for messages that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::services;

/// The time limit of an answer of the broker.
const DEADLINE: Duration = Duration::from_secs(300);

/// The methods of the protocol that a publisher needs, as class and number.
const START_OK: (u16, u16) = (10, 11);
const TUNE_OK: (u16, u16) = (10, 31);
const CONNECTION_OPEN: (u16, u16) = (10, 40);
const CHANNEL_OPEN: (u16, u16) = (20, 10);
const CONFIRM_SELECT: (u16, u16) = (85, 10);
const PUBLISH: (u16, u16) = (60, 40);

/// Properties as they are on the wire: the flags and their values.
#[derive(Clone, Debug, Default)]
pub struct RawProperties {
    /// Values by the number of their flag.
    parts: std::collections::BTreeMap<u16, Vec<u8>>,
}

impl RawProperties {
    const HEADERS: u16 = 2;

    /// Sets `message_id`.
    #[must_use]
    pub fn message_id(self, value: &[u8]) -> Self {
        self.short(8, value)
    }

    /// Sets `type`.
    #[must_use]
    pub fn kind(self, value: &[u8]) -> Self {
        self.short(10, value)
    }

    /// Sets `app_id`.
    #[must_use]
    pub fn app_id(self, value: &[u8]) -> Self {
        self.short(12, value)
    }

    /// Sets the headers to one header with this name and value, which begins with its type.
    #[must_use]
    pub fn header(mut self, name: &[u8], value: &[u8]) -> Self {
        let table = [&short(name)[..], value].concat();
        self.parts.insert(Self::HEADERS, long(&table));
        self
    }

    fn short(mut self, flag: u16, value: &[u8]) -> Self {
        self.parts.insert(flag, short(value));
        self
    }

    /// Returns the bytes that follow the size of the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = self.parts.keys().fold(0_u16, |flags, flag| flags | 1 << (15 - flag));
        let parts: Vec<u8> = self.parts.values().flatten().copied().collect();
        [&flags.to_be_bytes()[..], &parts].concat()
    }
}

/// Returns nested arrays, as a value of a header.
pub fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for outer in (0..depth).rev() {
        value.push(b'A');
        value.extend(u32::try_from(outer * 5).expect("arrays of a test fit").to_be_bytes());
    }
    value
}

/// Returns a text of at most 255 bytes, after its length.
fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("a short text")][..], bytes].concat()
}

/// Returns bytes after their length.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("bytes of a test fit").to_be_bytes()[..], bytes].concat()
}

fn method(channel: u16, (class, number): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat())
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &long(payload), &[0xce]].concat()
}

/// A connection with one channel in confirm mode.
#[derive(Debug)]
pub struct RawPublisher {
    stream: TcpStream,
}

impl RawPublisher {
    /// Connects to the broker under test.
    ///
    /// # Panics
    /// Panics when the broker refuses or does not answer.
    pub async fn connect() -> Self {
        let url = services::amqp_url();
        let (login, rest) =
            url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).expect("a login");
        let (user, password) = login.split_once(':').expect("a password");
        let (host, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let vhost = match vhost {
            "" | "%2f" | "%2F" => "/",
            vhost => vhost,
        };
        let mut raw = Self { stream: TcpStream::connect(host).await.expect("the broker listens") };
        raw.stream.write_all(b"AMQP\0\0\x09\x01").await.expect("the broker reads");
        raw.answer().await;
        let plain = format!("\0{user}\0{password}");
        let start_ok = [long(b""), short(b"PLAIN"), long(plain.as_bytes()), short(b"en_US")].concat();
        raw.method(0, START_OK, &start_ok).await;
        let tune = raw.answer().await;
        raw.method(0, TUNE_OK, &[&tune[4..10], &[0, 0]].concat()).await;
        raw.method(0, CONNECTION_OPEN, &[short(vhost.as_bytes()), vec![0, 0]].concat()).await;
        raw.answer().await;
        raw.method(1, CHANNEL_OPEN, &[0]).await;
        raw.answer().await;
        raw.method(1, CONFIRM_SELECT, &[0]).await;
        raw.answer().await;
        raw
    }

    /// Publishes a message and waits for the confirm.
    ///
    /// # Panics
    /// Panics when the broker refuses it.
    pub async fn publish(&mut self, exchange: &[u8], routing_key: &[u8], properties: &[u8], payload: &[u8]) {
        let route = [&[0, 0], &short(exchange)[..], &short(routing_key), &[0]].concat();
        let size = (payload.len() as u64).to_be_bytes();
        let header = [&[0, 60, 0, 0], &size[..], properties].concat();
        // One write: the second of several small ones waits until the first is acknowledged.
        let frames = [method(1, PUBLISH, &route), frame(2, 1, &header), frame(3, 1, payload)];
        self.write(&frames.concat()).await;
        let answer = self.answer().await;
        assert_eq!(answer[..4], [0, 60, 0, 80], "not acknowledged: {}", String::from_utf8_lossy(&answer));
    }

    async fn method(&mut self, channel: u16, id: (u16, u16), arguments: &[u8]) {
        self.write(&method(channel, id, arguments)).await;
    }

    async fn write(&mut self, frames: &[u8]) {
        self.stream.write_all(frames).await.expect("the broker reads");
    }

    /// Reads the next method.
    async fn answer(&mut self) -> Vec<u8> {
        let read = async {
            loop {
                let mut begin = [0; 7];
                self.stream.read_exact(&mut begin).await?;
                let size = u32::from_be_bytes([begin[3], begin[4], begin[5], begin[6]]) as usize;
                let mut payload = vec![0; size + 1];
                self.stream.read_exact(&mut payload).await?;
                if begin[0] == 1 {
                    return Ok::<_, std::io::Error>(payload);
                }
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("an answer in time").expect("the broker answers")
    }
}
