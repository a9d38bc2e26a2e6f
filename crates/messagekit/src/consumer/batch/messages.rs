//! The messages of a batch run, and the ranges that share a transaction.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::Meta;
use crate::consumer::handler_run::Run;
use crate::consumer::lane::PreparedMessage;
use crate::consumer::settings::Settings;
use crate::gate::Starts;
use crate::handler::{Erased, Task};
use crate::store::{Failure, ReceivedMessage, Store, TransactionSpans};

/// The messages of a batch run as one of its transactions sees them.
pub(super) struct Batch<S: Store> {
    pub(super) messages: Arc<Vec<Arc<PreparedMessage<S>>>>,
    /// Known culprits: the transaction sets them aside instead of handling them.
    pub(super) failed: BTreeMap<usize, Failure>,
    /// The number of this run of the first message; the others run for the first time.
    pub(super) first_attempt: u32,
    /// The message whose handler started last.
    pub(super) running: AtomicUsize,
    /// The messages whose handlers have started in the batch run, for the gates.
    pub(super) starts: Starts,
    /// The spans of the transaction.
    pub(super) spans: TransactionSpans,
}

/// The action of a transaction on a message.
pub(super) enum Duty<'a, S: Store> {
    /// Claim and run it.
    Handle(&'a Arc<dyn Erased<S>>, &'a Meta),
    /// Claim it, and fail with it unless it is already finished: its lane waits for it.
    Block(&'a Failure),
    SetAside(&'a Failure),
    Ignore,
}

impl<S: Store> Batch<S> {
    pub(super) fn received(&self, index: usize) -> &ReceivedMessage {
        &self.messages[index].received
    }

    /// Forgets which messages may be called, because one has failed: those of its key may wait behind it from now on.
    pub(super) fn ask_again(&self) {
        self.messages.iter().for_each(|prepared| prepared.call.ask_again());
    }

    pub(super) fn duty(&self, settings: &Settings<S>, index: usize) -> Duty<'_, S> {
        match (&self.messages[index].task, self.failed.get(&index)) {
            (Task::SetAside(failure), None) if settings.blocks(failure) => Duty::Block(failure),
            (_, Some(failure)) | (Task::SetAside(failure), None) => Duty::SetAside(failure),
            (Task::Handle { handler, meta }, None) => Duty::Handle(handler, meta),
            (Task::Ignore(_), None) => Duty::Ignore,
        }
    }

    /// Returns the topics and types of the messages of a range that are passed over.
    pub(super) fn passed_over(
        &self,
        settings: &Settings<S>,
        range: Range<usize>,
    ) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let is_passed_over = move |index: &usize| matches!(self.duty(settings, *index), Duty::Ignore);
        range.filter(is_passed_over).filter_map(|index| {
            let prepared = &self.messages[index];
            Some((&prepared.received.message.topic, prepared.unhandled_type()?))
        })
    }

    /// Returns the message as a run of this handler, unless another handler or none takes it.
    pub(super) fn run_by(&self, index: usize, by: &Arc<dyn Erased<S>>) -> Option<Run<'_>> {
        match &self.messages[index].task {
            Task::Handle { handler, meta }
                if Arc::ptr_eq(handler, by) && !self.failed.contains_key(&index) =>
            {
                Some(Run { received: self.received(index), meta, attempt: 1, called: None })
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

    /// Returns the failure for which the message is set aside, if there is one.
    pub(super) fn failure(&self, index: usize) -> Option<&Failure> {
        self.failed.get(&index).or(match &self.messages[index].task {
            Task::SetAside(failure) => Some(failure),
            Task::Handle { .. } | Task::Ignore(_) => None,
        })
    }
}
