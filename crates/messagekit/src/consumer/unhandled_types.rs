//! Event types that no handler of a consumer takes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Number of types that are logged; a hostile producer could invent more without end.
const MOST: usize = 100;

/// The types that were logged.
#[derive(Debug, Default)]
pub(super) struct UnhandledTypes(Mutex<HashSet<String>>);

impl UnhandledTypes {
    /// Logs a type when it is met first.
    pub(super) fn log(&self, consumer: &str, event_type: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST || seen.contains(event_type) {
            return;
        }
        seen.insert(event_type.to_owned());
        tracing::info!(consumer, event_type, "no handler for this event type: its messages are ignored");
        if seen.len() == MOST {
            tracing::info!(consumer, "further event types without a handler are not logged");
        }
    }
}
