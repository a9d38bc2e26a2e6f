//! The observations of the writers, kept outside every service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::orders::Order;

/// The knowledge from answers alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Committed orders, each customer's in the order of the answers.
    pub(crate) placed: Vec<Order>,
    /// Orders that were rolled back after row and event had been written.
    pub(crate) rolled_back: BTreeSet<String>,
    /// The number of orders that were repeated under the same id, and refused.
    pub(crate) repeated: usize,
    /// Orders with at least one lost answer or unknown outcome.
    pub(crate) unknown: BTreeSet<String>,
    /// The number of these that a repetition found in the database.
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

    /// Records that an order with an unknown outcome was found when it was repeated.
    pub(crate) fn was_there(&self) {
        self.write().unknown_there += 1;
    }

    /// Returns the number of committed orders that billing must book.
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
