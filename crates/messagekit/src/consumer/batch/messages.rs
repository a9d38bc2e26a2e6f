//! The messages of a batch run, and the ranges that share a transaction.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::consumer::lane::PreparedMessage;
use crate::consumer::settings::Settings;
use crate::gate::Starts;
use crate::handler::{Erased, Input, Task};
use crate::store::{Failure, ReceivedMessage, Store, TransactionSpans};

/// The messages of a batch run as one of its transactions sees them.
pub(super) struct Batch<S: Store> {
    pub(super) messages: Arc<Vec<Arc<PreparedMessage<S>>>>,
    /// The tasks of known culprits, which replace their own: always to set aside, whatever the policy is.
    pub(super) culprits: BTreeMap<usize, Task<S>>,
    /// The number of this run of the first message; the others run for the first time.
    pub(super) first_attempt: u32,
    /// The message whose handler started last.
    pub(super) running: AtomicUsize,
    /// The messages whose handlers have started in the batch run, for the gates.
    pub(super) starts: Starts,
    /// The spans of the transaction.
    pub(super) spans: TransactionSpans,
}

impl<S: Store> Batch<S> {
    pub(super) fn received(&self, index: usize) -> &ReceivedMessage {
        &self.messages[index].received
    }

    /// Forgets which messages may be called, because one has failed: messages of its key may wait behind it from now on.
    pub(super) fn ask_again(&self) {
        self.messages.iter().for_each(|prepared| prepared.call.ask_again());
    }

    /// Returns what a transaction does with the message.
    pub(super) fn task(&self, index: usize) -> &Task<S> {
        self.culprits.get(&index).unwrap_or(&self.messages[index].task)
    }

    /// Returns the topics and types of the messages of a range that no handler takes.
    pub(super) fn unhandled_types(&self, range: Range<usize>) -> impl Iterator<Item = (&Arc<str>, &str)> {
        range.filter(|index| matches!(self.task(*index), Task::Ignore(_))).filter_map(|index| {
            let prepared = &self.messages[index];
            Some((&prepared.received.message.topic, prepared.unhandled_type()?))
        })
    }

    /// Returns the message as an input of this handler, unless another handler or none takes it.
    pub(super) fn input_of(&self, index: usize, by: &Arc<dyn Erased<S>>) -> Option<Input<'_>> {
        match self.task(index) {
            Task::Handle { handler, meta } if Arc::ptr_eq(handler, by) => {
                Some(Input::new(self.received(index), meta, 1))
            }
            _ => None,
        }
    }

    /// Shortens a range to one transaction, in which all claims precede its failed messages. It ends before a second copy of a
    /// message that is set aside, which would be applied while the failed message is open. It also ends behind a parked
    /// message, which later messages of its key would pass.
    pub(super) fn one_transaction(&self, settings: &Settings<S>, range: Range<usize>) -> Range<usize> {
        let mut apart = HashSet::new();
        for index in range.clone() {
            let received = self.received(index);
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

    /// Returns the failure for which the message does not run, if there is one.
    pub(super) fn failure(&self, index: usize) -> Option<&Failure> {
        match self.task(index) {
            Task::SetAside(failure) | Task::Block(failure) => Some(failure),
            Task::Handle { .. } | Task::Ignore(_) => None,
        }
    }
}
