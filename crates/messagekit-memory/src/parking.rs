//! Key order in memory: blocked keys and the messages parked behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{ClaimRequest, Failure, Follower, ReceivedMessage, SetAsideOutcome};
use messagekit::operations::{FailedMessageHead, FailedMessageState};
use messagekit::{Claim, Error, ErrorKind, ParkingLimits};

use super::blocked_key::{BlockedKey, Turn};
use super::clock::Clock;
use super::marker::Marker;
use super::stored_message::StoredMessage;
use super::tables::Tables;
use super::tx::MemoryTx;

fn blocked_key(consumer: &str, received: &ReceivedMessage) -> Result<(BlockedKey, Turn), Error> {
    let (Some(key), Some(position)) = (&received.message.key, &received.position) else {
        let error = Error::new(ErrorKind::Other, "only a message with a key and a position can be parked");
        return Err(error.with("message_id", &received.id));
    };
    let topic = Arc::clone(&received.message.topic);
    let held = BlockedKey { consumer: consumer.to_owned(), topic, key: key.clone() };
    Ok((held, (position.partition, position.offset, i64::MAX)))
}

impl Tables {
    /// Returns whether an open failed message blocks the key of a claim, as seen by the transaction.
    pub(super) fn is_held(&self, tx: &MemoryTx, consumer: &str, request: &ClaimRequest) -> bool {
        let Some(key) = &request.key else { return false };
        let topic = Arc::clone(&request.topic);
        let held = BlockedKey { consumer: consumer.to_owned(), topic, key: key.clone() };
        self.queues.contains_key(&held) || tx.parks(&held).next().is_some()
    }

    /// Returns whether an earlier open message of its key blocks a parked failed message.
    pub(super) fn waits_for_another(&self, failed_message: &StoredMessage) -> bool {
        let queue = failed_message.blocked_key().and_then(|key| self.queues.get(&key));
        let first = queue.and_then(BTreeSet::first);
        matches!((first, failed_message.turn()), (Some(first), Some(own)) if first.2 != own.2)
    }

    /// Adds a new or reopened failed message to the order of its key.
    pub(super) fn queue(&mut self, number: i64) {
        let Some(failed_message) = self.failed_messages.get(&number) else { return };
        if let (Some(key), Some(turn)) = (failed_message.blocked_key(), failed_message.turn()) {
            self.queues.entry(key).or_default().insert(turn);
        }
    }

    /// Removes a resolved or discarded failed message from its key: the next one becomes due, and the last one unblocks
    /// the key.
    pub(super) fn left_its_key(&mut self, number: i64, now: Timestamp) {
        let Some(failed_message) = self.failed_messages.get(&number) else { return };
        let (Some(key), Some(turn)) = (failed_message.blocked_key(), failed_message.turn()) else { return };
        let Some(queue) = self.queues.get_mut(&key) else { return };
        queue.remove(&turn);
        let standing = failed_message.standing();
        let alone = if standing.state == FailedMessageState::Resolved { standing.alone } else { 0 };
        match queue.first() {
            None => drop(self.queues.remove(&key)),
            Some((.., next)) => {
                self.failed_messages.get_mut(next).into_iter().for_each(|next| next.promote(now, alone));
            }
        }
    }

    /// Returns the consumer's messages that are blocked behind a failed message of their key, up to the first that is
    /// not blocked.
    pub(super) fn followers(
        &self,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Vec<Follower> {
        let failed_message = self
            .failed_messages
            .get(&failed_message)
            .filter(|failed_message| failed_message.head().consumer == consumer);
        let Some((held, after)) = failed_message
            .and_then(|failed_message| Some((failed_message.blocked_key()?, failed_message.turn()?)))
        else {
            return Vec::new();
        };
        let queue = self.queues.get(&held).into_iter().flatten().filter(|turn| **turn > after);
        let waiting = queue.map_while(|(.., number)| self.failed_messages.get(number)?.follower());
        let mut left = bytes;
        let fitting = waiting.take_while(|follower| {
            let size = follower.received.message.payload.len() as u64;
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        fitting.take(messages as usize).collect()
    }

    /// Adds a reopened failed message to its key, and makes it due if no earlier message blocks it.
    pub(super) fn came_back(&mut self, number: i64, now: Timestamp) {
        self.queue(number);
        let Some(failed_message) = self.failed_messages.get(&number) else { return };
        if !self.waits_for_another(failed_message) {
            self.failed_messages
                .get_mut(&number)
                .into_iter()
                .for_each(|failed_message| failed_message.promote(now, 0));
        }
    }

    /// Returns the failed message as a list shows it, including the number of messages it blocks.
    pub(super) fn shown(&self, head: &FailedMessageHead) -> FailedMessageHead {
        let others = || {
            let key = self.failed_messages.get(&head.id)?.blocked_key()?;
            let queue = self.queues.get(&key)?;
            Some(queue.len().saturating_sub(1) as u64)
        };
        let holds = head.state.is_open() && head.state != FailedMessageState::Blocked;
        FailedMessageHead { holds_back: holds.then(others).flatten().unwrap_or_default(), ..head.clone() }
    }

    /// Returns the number of open messages of a key, and of all keys of the consumer.
    fn parked(&self, tx: &MemoryTx, held: &BlockedKey) -> (usize, usize) {
        let of_key = self.queues.get(held).map_or(0, BTreeSet::len) + tx.parks(held).count();
        let of_consumer = |key: &BlockedKey| key.consumer == held.consumer;
        let committed = self.queues.iter().filter(|(key, _)| of_consumer(key)).map(|(_, queue)| queue.len());
        let own = tx
            .writes
            .failed_messages
            .values()
            .filter_map(StoredMessage::blocked_key)
            .filter(|key| of_consumer(key));
        (of_key, committed.sum::<usize>() + own.count())
    }

    fn has_room(&self, tx: &MemoryTx, held: &BlockedKey, limits: ParkingLimits) -> bool {
        let (of_key, in_all) = self.parked(tx, held);
        of_key < limits.per_key as usize && in_all < limits.in_all as usize
    }

    /// Returns whether the key has an open failed message before a position.
    fn has_before(&self, tx: &MemoryTx, held: &BlockedKey, turn: Turn) -> bool {
        let committed = self.queues.get(held).and_then(BTreeSet::first);
        committed.copied().into_iter().chain(tx.parks(held)).any(|other| other < turn)
    }

    pub(super) fn park(
        &mut self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
        clock: Clock,
    ) -> Result<SetAsideOutcome, Error> {
        let (held, turn) = blocked_key(consumer, received)?;
        let marker = (consumer.to_owned(), received.id.clone());
        self.locks.marker(tx.number, &marker)?;
        if self.marker_in(tx, &marker).is_some_and(|marker| !marker.yields_to(failure.generation)) {
            self.only_looked(tx, &marker);
            return Ok(SetAsideOutcome::AlreadySettled);
        }
        self.locks.key(tx.number, &held)?;
        if !self.has_room(tx, &held, limits) {
            return Ok(SetAsideOutcome::Full);
        }
        let behind = self.has_before(tx, &held, turn);
        self.set_aside(tx, consumer, &received.id, failure.generation, |number| {
            StoredMessage::new(number, consumer, received, failure, clock).parked(behind)
        })
    }

    pub(super) fn park_behind(
        &mut self,
        tx: &mut MemoryTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
        clock: Clock,
    ) -> Result<usize, Error> {
        for (kept, received) in behind.iter().enumerate() {
            let (held, turn) = blocked_key(consumer, received)?;
            let marker = (consumer.to_owned(), received.id.clone());
            if !matches!(tx.writes.markers.get(&marker), Some(Marker { claim: Claim::Held, .. })) {
                let error = Error::new(ErrorKind::Other, "message was not claimed behind its key");
                return Err(error.with("message_id", &received.id));
            }
            self.locks.key(tx.number, &held)?;
            if !self.queues.contains_key(&held) && tx.parks(&held).next().is_none() {
                let error = Error::new(ErrorKind::Conflict, "the key was freed since the claim: claim again");
                return Err(error.with("topic", &received.message.topic));
            }
            if !self.has_room(tx, &held, limits) {
                return Ok(kept);
            }
            let waits = self.has_before(tx, &held, turn);
            self.last_failed_message += 1;
            let failed_message =
                StoredMessage::new(self.last_failed_message, consumer, received, &Failure::behind(), clock);
            tx.writes.failed_messages.insert(self.last_failed_message, failed_message.parked(waits));
        }
        Ok(behind.len())
    }
}

impl MemoryTx {
    /// Returns the failed messages of a key that this transaction parks.
    fn parks(&self, held: &BlockedKey) -> impl Iterator<Item = Turn> {
        let own = self.writes.failed_messages.values();
        own.filter(move |failed_message| failed_message.blocked_key().as_ref() == Some(held))
            .filter_map(StoredMessage::turn)
    }
}
