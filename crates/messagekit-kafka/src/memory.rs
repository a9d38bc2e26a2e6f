//! The positions that the consumer's database remembers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use messagekit::adapter::{NextOffset, RememberedOffsets};
use messagekit::{Error, ErrorKind, Message, Position};
use tokio::runtime::Handle;

/// How long the database may take to answer; only the queried partitions wait. It exceeds the time that a busy
/// database lets its callers wait for a connection: otherwise every answer would come too late.
const ASK: Duration = Duration::from_secs(15);

/// The remembered offsets of a source's consumer, if the consumer provides them.
#[derive(Clone)]
pub(crate) struct Lent(pub(crate) Arc<dyn RememberedOffsets>);

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RememberedOffsets").finish_non_exhaustive()
    }
}

/// Access to the remembered offsets for threads without a runtime.
#[derive(Clone)]
pub(crate) struct Memory {
    /// The offsets at the start of the process.
    first: Arc<[NextOffset]>,
    lent: Option<(Lent, Handle)>,
}

impl Memory {
    /// Creates the access on a thread of the runtime that uses the database.
    pub(crate) fn new(first: &[NextOffset], lent: Option<Lent>) -> Self {
        Self { first: first.into(), lent: lent.map(|lent| (lent, Handle::current())) }
    }

    /// Returns the offsets that were remembered when the process started.
    pub(crate) fn first(&self) -> &[NextOffset] {
        &self.first
    }

    /// Returns the key lane in which the database remembers a message; `None` without a database.
    pub(crate) fn key_lane(&self, message: &Message, place: &Position) -> Option<u32> {
        self.lent.as_ref().map(|(lent, _)| lent.0.key_lane(message, place))
    }

    /// Returns the current offsets of topics, and whether they belong to a primed consumer whose group has no offset; `None` without a database.
    ///
    /// # Errors
    /// Transient if the database does not answer in time.
    pub(crate) fn now(&self, topics: BTreeSet<Arc<str>>) -> Option<Result<(Vec<NextOffset>, bool), Error>> {
        let (lent, runtime) = self.lent.clone()?;
        Some(ask(&runtime, async move {
            let mut positions = Vec::new();
            for topic in topics {
                positions.extend(lent.0.next_of(&topic).await?);
            }
            Ok((positions, lent.0.is_primed().await?))
        }))
    }

    /// Notes that the group has the positions of a consumer that was primed.
    ///
    /// # Errors
    /// Transient if the database does not answer in time.
    pub(crate) fn note_in_group(&self) -> Result<(), Error> {
        let Some((lent, runtime)) = self.lent.clone() else { return Ok(()) };
        ask(&runtime, async move { lent.0.note_in_group().await })
    }
}

/// Runs a question to the database on its runtime.
fn ask<T: Send + 'static>(
    runtime: &Handle,
    question: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = mpsc::channel();
    // The receiver is dropped if this took too long.
    runtime.spawn(async move { drop(answer.send(question.await)) });
    let late =
        |_| Error::new(ErrorKind::Unavailable, "database did not say in time what the consumer has read");
    answered.recv_timeout(ASK).map_err(late).flatten()
}
