//! Event types that no handler of a consumer takes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Number of types that are logged; a hostile producer could invent more without end.
const MOST: usize = 100;

/// Number of characters of a type that are kept and logged, for the same reason.
const LONGEST: usize = 200;

/// The types that were logged.
#[derive(Debug, Default)]
pub(super) struct UnhandledTypes(Mutex<HashSet<String>>);

impl UnhandledTypes {
    /// Logs a type when it is met first.
    pub(super) fn log(&self, consumer: &str, event_type: &str) {
        let end = event_type.char_indices().nth(LONGEST).map_or(event_type.len(), |(end, _)| end);
        let event_type = &event_type[..end];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_types_take_little_memory() {
        let types = UnhandledTypes::default();
        for n in 0..1_000 {
            types.log("billing", &format!("{n} {}", "ü".repeat(10_000)));
        }
        let seen = types.0.into_inner().expect("no panic");
        assert_eq!(seen.len(), MOST);
        assert!(seen.iter().all(|event_type| event_type.chars().count() == LONGEST));
    }
}
