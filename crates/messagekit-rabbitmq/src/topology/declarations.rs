//! The declarations of queues when they were last queried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::queue::Arguments;

/// The arguments of queues from their last declaration, shared by the clones of one [`RabbitMq`](crate::RabbitMq).
/// They are the first guess of the next comparison, never its result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declarations(Arc<Mutex<BTreeMap<String, Arguments>>>);

impl Declarations {
    pub(crate) fn remember(&self, queue: &str, arguments: &Arguments) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(queue.to_owned(), arguments.clone());
    }

    pub(crate) fn of(&self, queue: &str) -> Option<Arguments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }
}
