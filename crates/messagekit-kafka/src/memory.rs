//! What the consumer's database remembers of its positions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use messagekit::{Error, ErrorKind, Message, NextOffset, Position, RememberedOffsets};
use tokio::runtime::Handle;

/// How long the database may take to answer, which holds up nothing but the partitions that it is asked about. Longer than a
/// busy one lets its callers wait for a connection: an answer that always came too late would never be heard.
const ASK: Duration = Duration::from_secs(15);

/// The memory of a source's consumer, when it was lent one.
#[derive(Clone)]
pub(crate) struct Lent(pub(crate) Arc<dyn RememberedOffsets>);

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RememberedOffsets").finish_non_exhaustive()
    }
}

/// The memory as threads without a runtime ask it.
#[derive(Clone)]
pub(crate) struct Memory {
    /// What was remembered when the process started.
    first: Arc<[NextOffset]>,
    lent: Option<(Lent, Handle)>,
}

impl Memory {
    /// Makes one on a thread of the runtime that the database is used from.
    pub(crate) fn new(first: &[NextOffset], lent: Option<Lent>) -> Self {
        Self { first: first.into(), lent: lent.map(|lent| (lent, Handle::current())) }
    }

    /// Returns what was remembered when the process started.
    pub(crate) fn first(&self) -> &[NextOffset] {
        &self.first
    }

    /// Returns the key lane in which the database remembers a message; `None` where there is no database to ask.
    pub(crate) fn key_lane(&self, message: &Message, place: &Position) -> Option<u32> {
        self.lent.as_ref().map(|(lent, _)| lent.0.key_lane(message, place))
    }

    /// Returns what is remembered now of topics; `None` when there is nothing to ask.
    ///
    /// # Errors
    /// Transient when the database does not answer in time.
    pub(crate) fn now(&self, topics: BTreeSet<Arc<str>>) -> Option<Result<Vec<NextOffset>, Error>> {
        let (lent, runtime) = self.lent.clone()?;
        let (answer, answered) = mpsc::channel();
        runtime.spawn(async move {
            let mut positions = Vec::new();
            for topic in topics {
                match lent.0.next_of(&topic).await {
                    Ok(found) => positions.extend(found),
                    // The receiver is gone when this took too long.
                    Err(error) => return drop(answer.send(Err(error))),
                }
            }
            drop(answer.send(Ok(positions)));
        });
        let late =
            |_| Error::new(ErrorKind::Unavailable, "database did not say in time what the consumer has read");
        Some(answered.recv_timeout(ASK).map_err(late).flatten())
    }
}
