//! What the writers saw, kept outside every service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::orders::Order;

/// What is known from answers alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Committed, each customer's in the order of the answers.
    pub(crate) placed: Vec<Order>,
    /// Rolled back after row and event had been written.
    pub(crate) rolled_back: BTreeSet<String>,
    /// A second time under the same id, and refused.
    pub(crate) repeated: usize,
    /// At least one answer was lost or said that nobody knows.
    pub(crate) unknown: BTreeSet<String>,
    /// Of these: a repetition found the order there.
    pub(crate) unknown_there: usize,
}

/// The book that all writers share.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Answers>>);

impl Book {
    pub(crate) fn placed(&self, order: &Order) {
        self.write().placed.push(order.clone());
    }

    pub(crate) fn rolled_back(&self, order: &Order) {
        self.write().rolled_back.insert(order.id.clone());
    }

    pub(crate) fn repeated(&self) {
        self.write().repeated += 1;
    }

    pub(crate) fn unknown(&self, order: &Order) {
        self.write().unknown.insert(order.id.clone());
    }

    /// Notes that an order of no known outcome was found there when it was repeated.
    pub(crate) fn was_there(&self) {
        self.write().unknown_there += 1;
    }

    /// Returns how many orders are known to be committed that billing must book.
    pub(crate) fn to_be_billed(&self) -> usize {
        self.write().placed.iter().filter(|order| order.is_billable()).count()
    }

    pub(crate) fn answers(&self) -> Answers {
        self.write().clone()
    }

    fn write(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().expect("no writer panics while it writes")
    }
}
