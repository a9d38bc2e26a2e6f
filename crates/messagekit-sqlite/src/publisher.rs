//! Appends outside a transaction of the caller.

use std::collections::HashMap;

use messagekit::adapter::{
    BoxFuture, MAX_PAYLOAD_BYTES, PublishError, PublishErrorKind, Published, Publisher,
};
use messagekit::{Error, ErrorKind, Message};

use crate::SqliteStore;
use crate::tables::{append, now};

/// Publishes to topics of a file: each batch is one append, and appends of many tasks share a commit.
#[derive(Clone, Debug)]
pub struct SqlitePublisher {
    store: SqliteStore,
}

impl SqliteStore {
    /// Returns a publisher of this file's topics; the first message creates a missing topic.
    ///
    /// To write an event together with rows of your own, use an [`Outbox`](messagekit::Outbox) instead.
    pub fn publisher(&self) -> SqlitePublisher {
        SqlitePublisher { store: self.clone() }
    }
}

/// A batch is appended completely, except for messages that can never be stored. Those are refused, and with them the
/// later messages of their key.
impl Publisher for SqlitePublisher {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let mut results = refusals(batch);
            let kept = batch.iter().zip(&results).filter(|(_, result)| result.is_ok());
            let kept: Vec<Message> = kept.map(|(message, _)| message.clone()).collect();
            if kept.is_empty() {
                return results;
            }
            let partitions = self.store.partitions().get();
            let appended = self.store.job(move |conn| append::append(conn, &kept, partitions, now())).await;
            if let Ok(appended) = &appended {
                self.store.tell(appended);
            }
            if let Err(error) = appended {
                let failed = PublishError { refusal: refusal(error.kind()), error };
                results
                    .iter_mut()
                    .filter(|result| result.is_ok())
                    .for_each(|result| *result = Err(failed.clone()));
            }
            results
        })
    }

    fn max_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }
}

/// Returns which messages of a batch can never be appended, whatever the state of the database.
fn refusals(batch: &[Message]) -> Vec<Published> {
    let mut results = Vec::with_capacity(batch.len());
    // Messages behind a refused message of their key wait for it.
    let mut refused: HashMap<_, Error> = HashMap::new();
    for message in batch {
        let key = message.key.as_ref().map(|key| (&message.topic, key));
        let (refusal, error) = match (key.and_then(|key| refused.get(&key)), message.check()) {
            (Some(earlier), _) => (PublishErrorKind::KeyBlocked, earlier.clone()),
            (None, Err(error)) => (PublishErrorKind::Rejected, error),
            (None, Ok(())) => {
                results.push(Ok(()));
                continue;
            }
        };
        if let Some(key) = key {
            refused.insert(key, error.clone());
        }
        results.push(Err(PublishError { refusal, error }));
    }
    results
}

/// Returns the publisher's error for a failed append.
fn refusal(kind: ErrorKind) -> PublishErrorKind {
    match kind {
        ErrorKind::OutcomeUnknown => PublishErrorKind::Unknown,
        kind if kind.is_transient() => PublishErrorKind::Unavailable,
        // The messages are valid: another call can publish them, or the same after a restart.
        ErrorKind::Closed | ErrorKind::WouldDeadlock | ErrorKind::Schema | ErrorKind::Corrupt => {
            PublishErrorKind::Unavailable
        }
        _ => PublishErrorKind::Rejected,
    }
}
