//! Event types that no handler of a consumer takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::similar_types::similar_types;
use crate::store::{Inbox, UnhandledType};
use crate::{Error, ErrorKind, chain};

/// Number of types that are logged and counted, and as many again of those that are similar to a handled one; a hostile producer could
/// invent more without end.
const MOST: usize = 100;

/// Number of characters of a type that are kept and logged, for the same reason.
const LONGEST: usize = 200;

/// The types that were met, and how many messages of each were passed over since the last note.
#[derive(Debug, Default)]
pub(in crate::consumer) struct UnhandledTypes {
    seen: Mutex<SeenTypes>,
    /// The last note has failed, which was logged.
    is_away: AtomicBool,
}

#[derive(Debug, Default)]
struct SeenTypes {
    /// By type, the handled types of which it may be a misspelling.
    similar: HashMap<String, Vec<String>>,
    /// By topic and type.
    messages: BTreeMap<(Arc<str>, String), u64>,
}

impl SeenTypes {
    fn has_room(&self, for_similar: bool) -> bool {
        self.similar.values().filter(|similar| similar.is_empty() != for_similar).count() < MOST
    }
}

/// Messages that are being noted. Those of a note that failed or was dropped are noted again with the next.
struct PendingNote<'a> {
    of: &'a UnhandledTypes,
    types: Vec<UnhandledType>,
}

impl Drop for PendingNote<'_> {
    fn drop(&mut self) {
        let mut seen = self.of.seen();
        for UnhandledType { topic, event_type, messages, .. } in self.types.drain(..) {
            *seen.messages.entry((topic, event_type)).or_default() += messages;
        }
    }
}

impl UnhandledTypes {
    fn seen(&self) -> MutexGuard<'_, SeenTypes> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a type when it is met first. It is a warning when the consumer handles a similar type: the name of one may be wrong,
    /// and the consumer would pass over what it should handle.
    pub(in crate::consumer) fn log_first<'a>(
        &self,
        consumer: &str,
        event_type: &str,
        handled: impl FnOnce() -> Vec<&'a str>,
    ) {
        let event_type = shortened(event_type);
        let mut seen = self.seen();
        if seen.similar.contains_key(event_type) {
            return;
        }
        let handled = handled();
        let similar = similar_types(event_type, &handled);
        let is_similar = !similar.is_empty();
        if !seen.has_room(is_similar) {
            return;
        }
        log(consumer, event_type, &similar);
        let similar = similar.into_iter().map(str::to_owned).collect();
        seen.similar.insert(event_type.to_owned(), similar);
        if !seen.has_room(is_similar) {
            tracing::info!(consumer, "further event types without a handler are neither logged nor counted");
        }
    }

    /// Counts messages whose transaction is committed, by topic and type. Types that are not kept are not counted.
    pub(in crate::consumer) fn count<'a>(&self, messages: impl Iterator<Item = (&'a Arc<str>, &'a str)>) {
        let mut seen = self.seen();
        for (topic, event_type) in messages {
            let event_type = shortened(event_type);
            let key = (Arc::clone(topic), event_type.to_owned());
            if seen.similar.contains_key(event_type)
                && (seen.messages.len() < 2 * MOST || seen.messages.contains_key(&key))
            {
                *seen.messages.entry(key).or_default() += 1;
            }
        }
    }

    /// Adds what was counted since the last note to the numbers in the store, unless that takes longer than `limit`.
    ///
    /// # Cancel safety
    /// Nothing is lost, and what the store has kept meanwhile counts twice.
    pub(in crate::consumer) async fn note<S: Inbox>(&self, store: &S, consumer: &str, limit: Duration) {
        let note = self.begin();
        if note.types.is_empty() {
            return;
        }
        let noted = tokio::time::timeout(limit, store.note_unhandled(consumer, &note.types)).await;
        let noted = noted.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "no answer in time")));
        match noted {
            Ok(()) => note.done(),
            Err(error) if !self.is_away.swap(true, Ordering::Relaxed) => {
                let error = chain(&error);
                tracing::warn!(consumer, %error, "messages without a handler are not noted yet");
            }
            Err(_) => {}
        }
    }

    /// Takes what was counted.
    fn begin(&self) -> PendingNote<'_> {
        let mut seen = self.seen();
        let counted = std::mem::take(&mut seen.messages);
        let types = counted.into_iter().map(|((topic, event_type), messages)| {
            let similar = seen.similar.get(&event_type).cloned().unwrap_or_default();
            UnhandledType { topic, event_type, similar, messages }
        });
        PendingNote { of: self, types: types.collect() }
    }
}

impl PendingNote<'_> {
    fn done(mut self) {
        self.types.clear();
        self.of.is_away.store(false, Ordering::Relaxed);
    }
}

/// Returns what is kept of a type. No database takes a NUL in a text.
fn shortened(event_type: &str) -> &str {
    let (text, _) = event_type.split_once('\0').unwrap_or((event_type, ""));
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

/// A field of type `str` is escaped by the log, a formatted one is not: the name comes from a producer.
fn log(consumer: &str, event_type: &str, similar: &[&str]) {
    if similar.is_empty() {
        tracing::info!(consumer, event_type, "no handler for this event type: its messages are ignored");
        return;
    }
    let similar = similar.join(", ");
    tracing::warn!(
        consumer,
        event_type,
        similar,
        "no handler for this event type, but for a similar one: its messages are ignored; if one name is wrong, \
         correct it and read them again with `messagekit replay start --type`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_types_take_little_memory() {
        let types = UnhandledTypes::default();
        for n in 0..1_000 {
            let event_type = format!("{n} {}", "ü".repeat(10_000));
            types.log_first("billing", &event_type, Vec::new);
            for topic in ["orders".into(), "shop".into()] {
                types.count([(&topic, &*event_type)].into_iter());
            }
        }
        types.log_first("billing", "orders.order.palced", || vec!["orders.order.placed"]);
        let seen = types.seen.into_inner().expect("no panic");
        assert_eq!((seen.similar.len(), seen.messages.len()), (MOST + 1, 2 * MOST));
        assert!(
            seen.similar.contains_key("orders.order.palced"),
            "a similar type is met however many came before"
        );
        let mut seen = seen;
        seen.similar.remove("orders.order.palced");
        assert!(seen.similar.keys().all(|event_type| event_type.chars().count() == LONGEST));
        assert!(seen.messages.keys().all(|(_, event_type)| event_type.chars().count() == LONGEST));
    }

    #[test]
    fn a_type_ends_before_its_first_nul() {
        assert_eq!(
            [shortened("orders.\0order"), shortened("\0"), shortened("orders.order")],
            ["orders.", "", "orders.order"]
        );
    }

    #[test]
    fn messages_of_a_note_that_was_dropped_are_noted_with_the_next() {
        let (types, topic) = (UnhandledTypes::default(), Arc::from("orders"));
        types.log_first("billing", "orders.order.palced", || vec!["orders.order.placed"]);
        let count = |times| types.count(std::iter::repeat_n((&topic, "orders.order.palced"), times));
        count(2);
        let dropped = types.begin();
        let first = &dropped.types[0];
        assert_eq!((first.messages, &*first.similar), (2, &["orders.order.placed".to_owned()][..]));
        count(3);
        assert_eq!(types.begin().types[0].messages, 3, "what one note has taken another does not note");
        drop(dropped);
        let note = types.begin();
        assert_eq!(note.types[0].messages, 5);
        note.done();
        assert_eq!(types.begin().types, []);
    }
}
