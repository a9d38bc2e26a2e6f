//! The messages of a turn, and which of them share a transaction.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::fault::Run;
use super::handler::Erased;
use super::router::Task;
use super::settings::Settings;
use crate::store::{Failure, ReceivedMessage, Store};

/// A message and what is to be done with it.
pub(super) struct Entry<S: Store> {
    pub(super) received: ReceivedMessage,
    pub(super) task: Task<S>,
}

/// The messages of a turn, with the failures found so far.
pub(super) struct Batch<S: Store> {
    pub(super) entries: Vec<Arc<Entry<S>>>,
    /// Known culprits by index: they are set aside instead of handled.
    pub(super) failed: HashMap<usize, Failure>,
    /// Which run of the first message this is; the others run for the first time.
    pub(super) first_attempt: u32,
    /// The message whose handler started last.
    pub(super) running: AtomicUsize,
}

impl<S: Store> Batch<S> {
    /// Returns whether the message goes to its handler: it has one, and has not failed before.
    pub(super) fn is_handled(&self, index: usize) -> bool {
        matches!(self.entries[index].task, Task::Handle { .. }) && !self.failed.contains_key(&index)
    }

    /// Returns the message as one for this handler, unless another one takes it or nobody does.
    pub(super) fn run_by(&self, index: usize, by: &Arc<dyn Erased<S>>) -> Option<Run<'_>> {
        match &self.entries[index].task {
            Task::Handle { handler, meta }
                if Arc::ptr_eq(handler, by) && !self.failed.contains_key(&index) =>
            {
                Some(Run { received: &self.entries[index].received, meta, attempt: 1 })
            }
            _ => None,
        }
    }

    /// Cuts a range to what one transaction may hold, because all its claims stand before its failed messages. It ends before a
    /// copy of a message in it that is set aside, which would be applied behind the failed message's back, and behind a message
    /// that is parked: later ones of its key would pass it.
    pub(super) fn one_transaction(&self, settings: &Settings<S>, range: Range<usize>) -> Range<usize> {
        let mut apart = HashSet::new();
        for index in range.clone() {
            let received = &self.entries[index].received;
            if apart.contains(&received.id) {
                return range.start..index;
            }
            if let Some(failure) = self.failure(index) {
                if settings.parks(received, failure) {
                    return range.start..index + 1;
                }
                apart.insert(&received.id);
            }
        }
        range
    }

    /// Returns why the message is set aside, if it is.
    pub(super) fn failure(&self, index: usize) -> Option<&Failure> {
        self.failed.get(&index).or(match &self.entries[index].task {
            Task::SetAside(failure) => Some(failure),
            Task::Handle { .. } | Task::Ignore => None,
        })
    }
}

/// Whose handlers a transaction may run.
#[derive(Clone, Copy)]
pub(super) enum Runs {
    /// Those of all messages.
    All,
    /// Only that of the message at this index, whose note is then forgotten.
    Noted(Option<usize>),
}

impl Runs {
    pub(super) fn may_run(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Noted(noted) => noted == Some(index),
        }
    }

    /// Returns the noted message when a range finishes it.
    pub(super) fn absolves(self, finished: Range<usize>) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Noted(noted) => noted.filter(|noted| finished.contains(noted)),
        }
    }
}
