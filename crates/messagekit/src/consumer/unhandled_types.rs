//! Event types that no handler of a consumer takes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::similar_types::similar_types;

/// Number of types that are logged; a hostile producer could invent more without end.
const MOST: usize = 100;

/// Number of characters of a type that are kept and logged, for the same reason.
const LONGEST: usize = 200;

/// The types that were logged.
#[derive(Debug, Default)]
pub(super) struct UnhandledTypes(Mutex<HashSet<String>>);

impl UnhandledTypes {
    /// Logs a type when it is met first. It is a warning when the consumer handles a similar type: the name of one may be wrong,
    /// and the consumer would pass over what it should handle.
    pub(super) fn log<'a>(&self, consumer: &str, event_type: &str, handled: impl FnOnce() -> Vec<&'a str>) {
        let end = event_type.char_indices().nth(LONGEST).map_or(event_type.len(), |(end, _)| end);
        let event_type = &event_type[..end];
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST || seen.contains(event_type) {
            return;
        }
        seen.insert(event_type.to_owned());
        // A field of type `str` is escaped by the log, a formatted one is not: the name comes from a producer.
        match similar_types(event_type, &handled()) {
            similar if similar.is_empty() => {
                tracing::info!(
                    consumer,
                    event_type,
                    "no handler for this event type: its messages are ignored"
                );
            }
            similar => {
                let similar = similar.join(", ");
                tracing::warn!(
                    consumer,
                    event_type,
                    similar,
                    "no handler for this event type, but for a similar one: its messages are ignored; if one name is wrong, \
                     correct it and read them again with `messagekit replay start --type`"
                );
            }
        }
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
            types.log("billing", &format!("{n} {}", "ü".repeat(10_000)), Vec::new);
        }
        let seen = types.0.into_inner().expect("no panic");
        assert_eq!(seen.len(), MOST);
        assert!(seen.iter().all(|event_type| event_type.chars().count() == LONGEST));
    }
}
