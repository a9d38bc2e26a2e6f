//! The tables of an in-memory database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{EventLinks, Priming, on_wire};
use messagekit::operations::{OutboxLag, StoredEvent, UnhandledMessages};
use messagekit::{Error, ErrorKind, Message, MessageId, headers};
use messagekit_topic_store::{ClaimHolder, ClaimWindow};
use tokio::sync::Notify;

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
    /// What consumers have passed over, by consumer, topic and type.
    pub(super) unhandled: BTreeMap<(String, Arc<str>, String), UnhandledMessages>,
    /// The holders of record claims whose handles were dropped.
    pub(super) ended_holders: BTreeSet<ClaimHolder>,
    /// The longest dedup window that the consumers have recorded.
    pub(super) windows: BTreeMap<String, Duration>,
    /// When a process of each consumer noted its window last.
    pub(super) noted: BTreeMap<String, Timestamp>,
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
    /// Each with the number of calls that pass before it.
    pub(super) failpoints: VecDeque<(Failpoint, usize, ErrorKind)>,
    /// The number of writes to the outbox that return before one hangs, and who waits for that.
    pub(super) hang: Option<(usize, Arc<Notify>)>,
    /// How often the outbox was written to, also by transactions that did not commit.
    pub(super) outbox_writes: usize,
    pub(super) open: BTreeSet<u64>,
    pub(super) last_tx: u64,
}

impl Tables {
    /// Returns the error that a test injected here.
    pub(super) fn pass(&mut self, failpoint: Failpoint) -> Result<(), Error> {
        let index = self.failpoints.iter().position(|(known, ..)| *known == failpoint);
        if let Some((_, passes @ 1.., _)) = index.map(|index| &mut self.failpoints[index]) {
            *passes -= 1;
            return Ok(());
        }
        match index.and_then(|index| self.failpoints.remove(index)) {
            Some((failpoint, _, kind)) => {
                Err(Error::new(kind, "a test requested this failure").with("at", format!("{failpoint:?}")))
            }
            None => Ok(()),
        }
    }

    /// Returns whether a write to the outbox hangs now, as a test has requested.
    pub(super) fn hangs_after_write(&mut self) -> bool {
        match &mut self.hang {
            None => false,
            Some((passes @ 1.., _)) => {
                *passes -= 1;
                false
            }
            Some((0, reached)) => {
                reached.notify_one();
                self.hang = None;
                true
            }
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
            let known = self.primings.entry(consumer.clone()).or_insert(priming);
            if priming.number <= known.number {
                *known = known.then(priming);
                continue;
            }
            *known = priming;
            self.offsets.retain(|(of, .., key_lane), _| {
                *of != consumer || !Priming::owns(*key_lane) || *key_lane == priming.key_lane()
            });
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
