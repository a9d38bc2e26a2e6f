//! What consumers have passed over, in memory.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{MOST_UNHANDLED_TYPES, UnhandledType};
use messagekit::operations::{UNHANDLED_LIMIT, UNHANDLED_SHOWN, UnhandledMessages};

use super::tables::Tables;

impl Tables {
    pub(super) fn note_unhandled(&mut self, consumer: &str, types: &[UnhandledType], now: Timestamp) {
        let is_old = |messages: &UnhandledMessages| messages.last_at <= now - UNHANDLED_SHOWN;
        self.unhandled.retain(|(owner, ..), messages| owner != consumer || !is_old(messages));
        types.iter().for_each(|noted| self.add_unhandled(consumer, noted, now));
    }

    fn add_unhandled(&mut self, consumer: &str, noted: &UnhandledType, now: Timestamp) {
        let key = (consumer.to_owned(), Arc::clone(&noted.topic), noted.event_type.clone());
        let known = self.unhandled.keys().filter(|(owner, ..)| owner == consumer).count();
        if known >= MOST_UNHANDLED_TYPES as usize && !self.unhandled.contains_key(&key) {
            return;
        }
        let messages = self.unhandled.entry(key).or_insert_with(|| UnhandledMessages {
            topic: Arc::clone(&noted.topic),
            event_type: noted.event_type.clone(),
            similar: Vec::new(),
            messages: 0,
            first_at: now,
            last_at: now,
        });
        messages.messages += noted.messages;
        messages.similar.clone_from(&noted.similar);
        messages.last_at = now;
    }

    pub(super) fn unhandled_of(&self, consumer: &str, now: Timestamp) -> Vec<UnhandledMessages> {
        let own = self.unhandled.iter().filter(|((owner, ..), _)| owner == consumer);
        let shown =
            own.map(|(_, messages)| messages).filter(|messages| messages.last_at > now - UNHANDLED_SHOWN);
        let mut shown: Vec<UnhandledMessages> = shown.cloned().collect();
        shown.sort_by_key(|messages| (messages.similar.is_empty(), std::cmp::Reverse(messages.messages)));
        shown.truncate(UNHANDLED_LIMIT as usize);
        shown
    }
}
