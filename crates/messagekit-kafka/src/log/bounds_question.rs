//! The question of a reader's thread for the bounds of partitions, in the background.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use messagekit::log::Bounds;
use messagekit::{Error, ErrorKind};

use super::offsets::bounds;
use super::questions::{Client, Deadline};
use crate::background::{Answer, ask};

/// The wait before a question is repeated that no broker has answered.
const AGAIN: Duration = Duration::from_millis(500);

/// The bounds of partitions by their numbers.
pub(super) type Found = Result<BTreeMap<i32, Bounds>, Error>;

/// Asks one question at a time.
#[derive(Default)]
pub(super) struct BoundsQuestion {
    asking: Option<Answer<Result<Vec<Bounds>, Error>>>,
    not_before: Option<Instant>,
}

impl BoundsQuestion {
    /// Returns whether the next question may be asked.
    pub(super) fn is_due(&self) -> bool {
        self.asking.is_none() && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// Asks for the bounds of partitions, if any. The answer wakes the calling thread.
    pub(super) fn ask(&mut self, client: &Arc<Client>, topic: &Arc<str>, partitions: Vec<i32>) {
        if partitions.is_empty() {
            return;
        }
        let (client, topic) = (Arc::clone(client), Arc::clone(topic));
        self.asking = Some(ask("log", move || bounds(&client, &topic, &partitions, Deadline::new())));
    }

    /// Takes the answer if it is there.
    ///
    /// # Errors
    /// Transient if no broker has answered, or the question was not asked.
    pub(super) fn take(&mut self) -> Option<Found> {
        let Poll::Ready(answer) = self.asking.as_ref()?.poll() else { return None };
        self.asking = None;
        let not_asked = || Err(Error::new(ErrorKind::Unavailable, "kafka was not asked for offsets"));
        let answer = answer.unwrap_or_else(not_asked);
        self.not_before = answer.is_err().then(|| Instant::now() + AGAIN);
        Some(answer.map(|found| found.into_iter().map(|bounds| (bounds.partition, bounds)).collect()))
    }
}
