//! The times of the records that a priming has delivered, for the transactions that handle them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::Position;
use crate::store::{Priming, ReceivedMessage};

/// The time that orders each record in work. A clone is a handle to the same times.
#[derive(Clone, Debug)]
pub(in crate::consumer) struct Frontiers {
    pub(in crate::consumer) priming: Priming,
    times: Arc<Mutex<HashMap<Position, Timestamp>>>,
}

impl Frontiers {
    pub(super) fn of(priming: Priming) -> Self {
        Self { priming, times: Arc::default() }
    }

    /// Notes a record that is delivered.
    pub(super) fn delivered(&self, position: Position, time: Timestamp) {
        self.change(|times| times.insert(position, time));
    }

    /// Forgets a record that is settled.
    pub(super) fn settled(&self, position: &Position) {
        self.change(|times| times.remove(position));
    }

    /// Returns what a transaction writes that has finished messages; `None` if their records have no time.
    pub(in crate::consumer) fn reached<'a>(
        &self,
        finished: impl Iterator<Item = &'a ReceivedMessage>,
    ) -> Option<Priming> {
        let last = self.change(|times| {
            finished.filter_map(|message| times.get(message.position.as_ref()?)).max().copied()
        });
        Some(self.priming.until(last?))
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Position, Timestamp>) -> T) -> T {
        change(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
