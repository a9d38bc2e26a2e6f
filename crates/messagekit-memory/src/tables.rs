//! The tables of an in-memory database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{EventLinks, Priming, on_wire};
use messagekit::log::{ClaimHolder, ClaimWindow};
use messagekit::operations::{OutboxLag, StoredEvent};
use messagekit::{Error, ErrorKind, Message, MessageId, headers};

use super::blocked_key::Queues;
use super::locks::Locks;
use super::marker::Marker;
use super::replay::Replay;
use super::stored_message::StoredMessage;
use super::writes::{ClaimKey, OffsetKey, Writes};
use super::{AuditEntry, Failpoint, MemoryLog};

/// Processes with an in-flight attempt of one message.
type Attempts = BTreeSet<String>;

/// The committed state and the row locks.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) markers: BTreeMap<(String, MessageId), Marker>,
    pub(super) offsets: BTreeMap<OffsetKey, i64>,
    pub(super) claims: BTreeMap<ClaimKey, ClaimWindow>,
    pub(super) primings: BTreeMap<String, Priming>,
    /// The holders of record claims whose handles were dropped.
    pub(super) ended_holders: BTreeSet<ClaimHolder>,
    /// The longest dedup window that the consumers have recorded.
    pub(super) windows: BTreeMap<String, Duration>,
    /// For each consumer with removed markers: the time since which its markers are complete.
    pub(super) complete_since: BTreeMap<String, Timestamp>,
    pub(super) failed_messages: BTreeMap<i64, StoredMessage>,
    pub(super) last_failed_message: i64,
    pub(super) queues: Queues,
    pub(super) locks: Locks,
    pub(super) numbers: BTreeMap<String, i64>,
    pub(super) texts: BTreeMap<String, String>,
    /// All published messages, including republications.
    pub(super) outbox: Vec<Message>,
    pub(super) events: Vec<StoredEvent>,
    /// The links of events that have any.
    pub(super) links: BTreeMap<MessageId, EventLinks>,
    pub(super) in_flight_attempts: BTreeMap<(String, MessageId), Attempts>,
    /// Failure reasons by event and scope, each with its time.
    pub(super) failures: BTreeMap<(MessageId, String), (String, Timestamp)>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) replays: Vec<Replay>,
    pub(super) lag: Option<OutboxLag>,
    pub(super) failpoints: VecDeque<(Failpoint, ErrorKind)>,
    pub(super) open: BTreeSet<u64>,
    pub(super) last_tx: u64,
}

impl Tables {
    /// Returns the error that a test injected here.
    pub(super) fn pass(&mut self, failpoint: Failpoint) -> Result<(), Error> {
        let index = self.failpoints.iter().position(|(known, _)| *known == failpoint);
        match index.and_then(|index| self.failpoints.remove(index)) {
            Some((failpoint, kind)) => {
                Err(Error::new(kind, "a test requested this failure").with("at", format!("{failpoint:?}")))
            }
            None => Ok(()),
        }
    }

    /// Makes the writes of a transaction visible.
    pub(super) fn apply(&mut self, writes: Writes, log: Option<&MemoryLog>, now: Timestamp) {
        let markers = writes.markers.into_iter();
        self.markers.extend(markers.map(|(key, marker)| (key, Marker { processed_at: now, ..marker })));
        for (number, failed_message) in writes.failed_messages {
            self.failed_messages.insert(number, failed_message);
            self.queue(number);
        }
        for (number, resolving) in &writes.resolved {
            self.failed_messages
                .get_mut(number)
                .into_iter()
                .for_each(|failed_message| failed_message.resolve(resolving));
        }
        for (number, resolving) in writes.resolved {
            self.left_its_key(number, resolving.at);
        }
        for key in writes.cleared {
            self.in_flight_attempts.remove(&key);
        }
        let failures = writes.failures.into_iter();
        self.failures.extend(failures.map(|(event, reason)| (event, (reason, now))));
        for (key, next) in writes.offsets {
            let known = self.offsets.entry(key).or_default();
            *known = next.max(*known);
        }
        self.claims.extend(writes.claims);
        for (consumer, priming) in writes.primings {
            let known = self.primings.entry(consumer).or_default();
            *known = known.then(priming);
        }
        for (key, number) in writes.numbers {
            *self.numbers.entry(key).or_default() += number;
        }
        self.texts.extend(writes.texts);
        let events: Vec<_> =
            writes.outbox.into_iter().map(|message| self.stored_event(message, now)).collect();
        let messages: Vec<Message> = events.iter().map(|event| event.message.clone()).collect();
        self.publish(&messages, log);
        self.events.extend(events);
    }

    /// Publishes messages.
    pub(super) fn publish(&mut self, messages: &[Message], log: Option<&MemoryLog>) {
        log.into_iter().for_each(|log| log.append(&on_wire(messages)));
        self.outbox.extend_from_slice(messages);
    }

    /// Returns the event of a message. Its links are kept beside it, and are not published.
    pub(super) fn stored_event(&mut self, mut message: Message, created_at: Timestamp) -> StoredEvent {
        let named = message.headers.text(headers::ID).and_then(|id| id.parse().ok());
        let event_id: MessageId = named.unwrap_or_else(MessageId::new);
        let links = EventLinks::take(&mut message.headers);
        if !links.is_empty() {
            self.links.insert(event_id.clone(), links);
        }
        StoredEvent { event_id, copies: 0, created_at, message }
    }
}
