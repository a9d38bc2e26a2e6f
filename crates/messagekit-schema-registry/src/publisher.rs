//! Publishes events with data in the format of their schema.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher, as_binary};
use messagekit::headers::CONTENT_TYPE;
use messagekit::{DataVersion, Error, ErrorKind, Message};

use crate::frame;
use crate::{AvroSchema, EventSchema, SchemaId};

/// The content type of Avro's binary encoding.
const AVRO: &str = "application/avro";

/// A publisher that frames events; [`Schemas::publisher`](crate::Schemas::publisher) returns it.
///
/// An event whose data does not fit its schema is rejected, and later ones of its topic and key are not attempted.
#[derive(Debug)]
pub struct SchemaPublisher<P> {
    inner: P,
    written: HashMap<&'static str, Vec<Written>>,
}

/// How events of one version are written.
#[derive(Debug)]
struct Written {
    version: DataVersion,
    id: SchemaId,
    /// `None` for JSON.
    avro: Option<Arc<AvroSchema>>,
}

impl<P> SchemaPublisher<P> {
    pub(crate) fn new(inner: P) -> Self {
        Self { inner, written: HashMap::new() }
    }

    pub(crate) fn add(&mut self, schema: EventSchema, id: SchemaId) -> Result<(), Error> {
        let versions = self.written.entry(schema.event_type()).or_default();
        if versions.iter().any(|written| written.version == schema.version()) {
            let text = "two schemas for one version of an event type: keep one";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text)
                .with("event_type", schema.event_type())
                .with("data_version", schema.version()));
        }
        let version = schema.version();
        versions.push(Written { version, id, avro: schema.into_avro() });
        Ok(())
    }

    /// Returns how the versions of an event type are written; `None` for an event that has no schema here.
    fn versions(&self, message: &Message) -> Option<&[Written]> {
        self.written.get(message.event_type()?).map(Vec::as_slice)
    }

    /// Returns an event with its data framed; another message as it is.
    fn framed(&self, message: &Message, max_bytes: usize) -> Result<Message, Error> {
        let Some(versions) = self.versions(message) else { return Ok(message.clone()) };
        let mut message = as_binary(message)?;
        let written = chosen(versions, &message)?;
        message.payload = match &written.avro {
            Some(schema) => {
                let data = serde_json::from_slice(&message.payload)
                    .map_err(|_| Error::new(ErrorKind::InvalidEvent, "data of the event is not JSON"))?;
                message.headers.set(CONTENT_TYPE, AVRO);
                frame::join(written.id, &schema.write(&data)?)
            }
            None => frame::join(written.id, &message.payload),
        };
        // A list of short numbers takes more bytes in Avro than in JSON.
        if message.payload.len() > max_bytes {
            let text = format!(
                "event of {} bytes in its format is over the limit of {max_bytes}",
                message.payload.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(message)
    }

    /// Frames a batch. Returns the messages to send, and per message of the batch why it is not sent, if it is not.
    fn prepared(&self, batch: &[Message], max_bytes: usize) -> (Vec<Message>, Vec<Option<PublishError>>) {
        let mut blocked: HashSet<(&str, &Bytes)> = HashSet::new();
        let mut sent = Vec::with_capacity(batch.len());
        let refused = batch
            .iter()
            .map(|message| {
                let key = message.key.as_ref().map(|key| (&*message.topic, key));
                if key.is_some_and(|key| blocked.contains(&key)) {
                    let text = "an earlier event of the key does not fit its schema";
                    let error = Error::new(ErrorKind::InvalidEvent, text);
                    return Some(PublishError { refusal: PublishErrorKind::KeyBlocked, error });
                }
                match self.framed(message, max_bytes) {
                    Ok(framed) => {
                        sent.push(framed);
                        None
                    }
                    Err(error) => {
                        blocked.extend(key);
                        let error = error.with("event_type", message.event_type().unwrap_or_default());
                        Some(PublishError { refusal: PublishErrorKind::Rejected, error })
                    }
                }
            })
            .collect();
        (sent, refused)
    }
}

/// Returns how an event is written: by the schema of its version, or the newest one of its major version, because rows of an earlier
/// minor version may wait in the outbox.
fn chosen<'a>(versions: &'a [Written], message: &Message) -> Result<&'a Written, Error> {
    let found = message.headers.text("ce_dataversion").unwrap_or("1.0");
    let read = DataVersion::read(found);
    let of_major =
        versions.iter().filter(|written| read.is_some_and(|read| read.major == written.version.major));
    let exact = of_major.clone().find(|written| Some(written.version) == read);
    exact.or_else(|| of_major.max_by_key(|written| written.version)).ok_or_else(|| {
        let text = "no schema for this major version of the event: give the publisher one";
        Error::new(ErrorKind::InvalidEvent, text).with("data_version", found)
    })
}

impl<P: Publisher> Publisher for SchemaPublisher<P> {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        if batch.iter().all(|message| self.versions(message).is_none()) {
            return self.inner.publish(batch);
        }
        Box::pin(async move {
            let (sent, refused) = self.prepared(batch, self.max_bytes());
            let published = match sent.is_empty() {
                true => Vec::new(),
                false => self.inner.publish(&sent).await,
            };
            let mut published = published.into_iter();
            let missing = || {
                let error =
                    Error::new(ErrorKind::Other, "publisher returned fewer results than it had messages");
                Err(PublishError { refusal: PublishErrorKind::Unknown, error })
            };
            let result = |refused: Option<PublishError>| match refused {
                Some(error) => Err(error),
                None => published.next().unwrap_or_else(missing),
            };
            refused.into_iter().map(result).collect()
        })
    }

    fn max_bytes(&self) -> usize {
        self.inner.max_bytes()
    }

    fn system(&self) -> &'static str {
        self.inner.system()
    }
}
