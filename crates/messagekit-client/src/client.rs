//! Single requests about topics.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::Path;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_wire::{
    Acknowledge, Acknowledged, Append, Appended, AppendedRecord, Consume, ConsumeAnswer, Done, Extend,
    Extended, GiveBack, LatestOffset, LatestOffsets, Offsets, PartitionOf,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::connection::Connection;

/// Requests about the topics of a server. None is repeated.
///
/// Clones share their connections.
///
/// ```no_run
/// # async fn run(token: &str) -> Result<(), messagekit::Error> {
/// use messagekit_client::Client;
///
/// let client = Client::new("http://127.0.0.1:9464", token)?;
/// let order = serde_json::json!({"id": 1, "item": "teapot"});
/// let appended = client.append("shop.orders", &order, true).await?;
/// println!("{} {}", appended.id, appended.duplicate);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    query: String,
}

impl Client {
    /// Creates a client of a server: `http://host:port` or `https://host`. No connection is made before the first request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another form of URL, and for a token with characters that none has.
    pub fn new(url: &str, token: &str) -> Result<Self, Error> {
        Ok(Self { connection: Connection::new(url, token)?, query: String::new() })
    }

    /// Trusts the authorities whose certificates are in a PEM file, beside those that the system trusts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a file that cannot be read or has no certificate, and for a URL that is not `https://`.
    #[cfg(feature = "tls")]
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self { connection: self.connection.ca_file(path.as_ref())?, ..self })
    }

    /// Sets the server's name of the database; needed where it serves several.
    #[must_use]
    pub fn database(self, name: &str) -> Self {
        Self { query: format!("?database={}", utf8_percent_encode(name, NON_ALPHANUMERIC)), ..self }
    }

    /// Appends a record, and returns its id. With `if_new`, known dedup fields are no error: the id is that of the record that is there.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] for known dedup fields, with the value `existing_id`. [`ErrorKind::InvalidEvent`] for a record that does
    /// not fit the topic. [`ErrorKind::NotFound`] without the topic. [`ErrorKind::OutcomeUnknown`] without an answer: the record may be
    /// there. Repeat it with `if_new` if the topic has dedup fields.
    ///
    /// # Cancel safety
    /// As without an answer.
    pub async fn append(
        &self,
        topic: &str,
        data: &impl Serialize,
        if_new: bool,
    ) -> Result<AppendedRecord, Error> {
        let data = Some(json(data)?);
        let body = Append { topic_id: topic.to_owned(), data, records: None, if_new };
        let answer: Appended = self.post("append", &body, Duration::ZERO).await?;
        match (answer.id, answer.duplicate) {
            (Some(id), Some(duplicate)) => Ok(AppendedRecord { id, duplicate }),
            _ => Err(incomplete()),
        }
    }

    /// Appends up to 1,000 records together: all, or none. Returns what became of each.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// As [`append`](Self::append).
    pub async fn append_all<T: Serialize>(
        &self,
        topic: &str,
        records: &[T],
        if_new: bool,
    ) -> Result<Vec<AppendedRecord>, Error> {
        let records = Some(records.iter().map(json).collect::<Result<_, _>>()?);
        let body = Append { topic_id: topic.to_owned(), data: None, records, if_new };
        let answer: Appended = self.post("append", &body, Duration::ZERO).await?;
        answer.records.ok_or_else(incomplete)
    }

    /// Returns the ends of partitions, in order. One that is not there has no record.
    ///
    /// # Errors
    /// As the server refuses it. A transient error without an answer.
    pub async fn latest_offsets(&self, topic: &str, partitions: &[i32]) -> Result<Vec<LatestOffset>, Error> {
        let partition = |id: &i32| PartitionOf { topic_id: topic.to_owned(), partition_id: *id };
        let body = LatestOffsets { partitions: partitions.iter().map(partition).collect() };
        Ok(self.post::<Offsets>("latest-offsets", &body, Duration::ZERO).await?.offsets)
    }

    /// Sends `/v1/api/topics/consume`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the topic. [`ErrorKind::OutOfRange`], with the values `earliest` and `next`, where the records were
    /// deleted. [`ErrorKind::OutcomeUnknown`] without an answer.
    ///
    /// # Cancel safety
    /// Records of a group may be claimed: they come again when the lease ends.
    pub async fn consume(&self, request: &Consume) -> Result<ConsumeAnswer, Error> {
        self.post("consume", request, Duration::from_secs(request.timeout_seconds.unwrap_or(0))).await
    }

    /// Sends `/v1/api/topics/ack`: records were handled.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] if the claim does not hold them any more. [`ErrorKind::OutcomeUnknown`] without an answer.
    pub async fn ack(&self, request: &Acknowledge) -> Result<Acknowledged, Error> {
        self.post("ack", request, Duration::ZERO).await
    }

    /// Sends `/v1/api/topics/nack`: records are given back.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn nack(&self, request: &GiveBack) -> Result<Done, Error> {
        self.post("nack", request, Duration::ZERO).await
    }

    /// Sends `/v1/api/topics/extend`: a claim is needed for longer.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn extend(&self, request: &Extend) -> Result<Extended, Error> {
        self.post("extend", request, Duration::ZERO).await
    }

    async fn post<A: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<A, Error> {
        self.connection.post(name, &self.query, body, wait).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.connection.host()).finish_non_exhaustive()
    }
}

fn json(data: &impl Serialize) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(data).map_err(|error| {
        Error::new(ErrorKind::InvalidEvent, "record cannot be written as JSON").caused_by(error)
    })
}

fn incomplete() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the answer does not say what became of the records")
}
