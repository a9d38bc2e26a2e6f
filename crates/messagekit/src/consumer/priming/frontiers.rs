//! The times of the records that a priming has delivered, for the transactions that handle them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::Position;
use crate::store::ReceivedMessage;

/// The time that orders each record in work. A clone is a handle to the same times.
#[derive(Clone, Debug, Default)]
pub(in crate::consumer) struct Frontiers(Arc<Mutex<HashMap<Position, Timestamp>>>);

impl Frontiers {
    /// Notes a record that is delivered.
    pub(super) fn delivered(&self, position: Position, time: Timestamp) {
        self.change(|times| times.insert(position, time));
    }

    /// Forgets a record that is settled.
    pub(super) fn settled(&self, position: &Position) {
        self.change(|times| times.remove(position));
    }

    /// Returns the greatest time of messages that a transaction has finished.
    pub(in crate::consumer) fn reached<'a>(
        &self,
        finished: impl Iterator<Item = &'a ReceivedMessage>,
    ) -> Option<Timestamp> {
        self.change(|times| {
            finished.filter_map(|message| times.get(message.position.as_ref()?)).max().copied()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Position, Timestamp>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
