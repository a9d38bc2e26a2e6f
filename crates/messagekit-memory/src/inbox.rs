//! The tables of consumers in memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, Follower, Markers, NextOffset, Positions, Priming,
    Primings, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, UnhandledType,
};
use messagekit::{Claim, Error, MessageId, ParkingLimits};

use super::stored_message::{Resolving, StoredMessage};
use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};

fn key(consumer: &str, message: &MessageId) -> (String, MessageId) {
    (consumer.to_owned(), message.clone())
}

impl Markers for MemoryStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        let (window, now) = (window.unwrap_or(Duration::MAX), self.database.clock.now());
        Ok(self.tables(|tables| {
            tables.noted.insert(consumer.to_owned(), now);
            let noted = tables.windows.entry(consumer.to_owned()).or_default();
            *noted = window.max(*noted);
            tables.complete_since.get(consumer).copied()
        }))
    }

    async fn claim(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        self.statement(tx, Some(Failpoint::Claim), |tables, tx| {
            requests.iter().map(|request| tables.claim(tx, consumer, request)).collect()
        })
    }

    async fn unclaim(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<(), Error> {
        self.statement(tx, None, |tables, tx| {
            for request in requests {
                let key = (consumer.to_owned(), request.id.clone());
                if tx.writes.fresh.remove(&key) {
                    tx.writes.markers.remove(&key);
                    tables.locks.unlock_marker(&key);
                }
            }
            Ok(())
        })
    }
}

impl Positions for MemoryStore {
    async fn note_unhandled(&self, consumer: &str, types: &[UnhandledType]) -> Result<(), Error> {
        let now = self.database.clock.now();
        self.tables(|tables| tables.note_unhandled(consumer, types, now));
        Ok(())
    }

    async fn advance(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> Result<(), Error> {
        self.statement(tx, Some(Failpoint::Advance), |_, tx| {
            for position in positions {
                let key =
                    (consumer.to_owned(), position.topic.clone(), position.partition, position.key_lane);
                let noted = tx.writes.offsets.entry(key).or_insert(position.next);
                *noted = position.next.max(*noted);
            }
            Ok(())
        })
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        Ok(self.tables(|tables| {
            let noted =
                tables.offsets.iter().filter(|((owner, of, ..), _)| owner == consumer && **of == *topic);
            noted
                .map(|((_, topic, partition, key_lane), next)| NextOffset {
                    topic: topic.clone(),
                    partition: *partition,
                    key_lane: *key_lane,
                    next: *next,
                })
                .collect()
        }))
    }
}

impl FailedMessageRows<MemoryTx> for MemoryStore {
    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        Ok(self.tables(|tables| tables.oldest_return(topics, self.database.clock.now())))
    }

    async fn set_aside(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::SetAside), |tables, tx| {
            tables.set_aside(tx, consumer, &received.id, failure.generation, |number| {
                StoredMessage::new(number, consumer, received, failure, clock)
            })
        })
    }

    async fn park(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::Park), |tables, tx| {
            tables.park(tx, consumer, received, failure, limits, clock)
        })
    }

    async fn park_behind(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::ParkBehind), |tables, tx| {
            tables.park_behind(tx, consumer, behind, limits, clock)
        })
    }
}

impl Retries<MemoryTx> for MemoryStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Lease)?;
            let (now, until) = (clock.now(), clock.after(lease));
            Ok(tables.lease_due(max, now, until, |failed_message| {
                failed_message.failed_message.consumer == consumer
            }))
        })
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        let until = self.database.clock.after(lease);
        self.tables(|tables| {
            tables.pass(Failpoint::BeginRun)?;
            let waits = !tables.followers(consumer, leased.failed_message, 1, u64::MAX).is_empty();
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(None) };
            let length = if waits { most } else { 1 };
            let begun = failed_message.standing.begin_run(leased.token, length, until);
            failed_message.show(failed_message.failed_message.head.changed_at);
            Ok(begun.then_some(length))
        })
    }

    async fn followers(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        self.statement(tx, None, |tables, _| Ok(tables.followers(consumer, failed_message, messages, bytes)))
    }

    async fn resolve(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        let at = self.database.clock.now();
        self.statement(tx, Some(Failpoint::Resolve), |tables, tx| {
            let known = tables.failed_messages.get(&leased.failed_message);
            let Some(known) = known.filter(|failed_message| failed_message.is_leased_as(consumer, leased))
            else {
                return Ok(false);
            };
            if let Some(key) = known.blocked_key() {
                tables.locks.key(tx.number, &key)?;
            }
            let waits = |follower: &Follower| {
                let waiting =
                    tables.failed_messages.get(&follower.failed_message).and_then(StoredMessage::follower);
                waiting.is_some_and(|waiting| waiting.token == follower.token)
            };
            if !followers.iter().all(waits) {
                return Ok(false);
            }
            let head = Resolving { token: leased.token, follows: false, at };
            tables.resolve(tx, consumer, leased.failed_message, &leased.received.id, head)?;
            for Follower { failed_message, token, received, .. } in followers {
                let follows = Resolving { token: *token, follows: true, at };
                tables.resolve(tx, consumer, *failed_message, &received.id, follows)?;
            }
            Ok(true)
        })
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Fail)?;
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(false) };
            Ok(failed_message.fail(leased.token, failure, clock))
        })
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        let due = self.database.clock.after(delay);
        self.tables(|tables| {
            tables.pass(Failpoint::HandBack)?;
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(false) };
            let handed_back = failed_message.standing.hand_back(leased.token, due);
            failed_message.show(failed_message.failed_message.head.changed_at);
            Ok(handed_back)
        })
    }
}

impl Attempts<MemoryTx> for MemoryStore {
    async fn begin_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<u32, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::BeginAttempt)?;
            let attempts = tables.in_flight_attempts.entry(key(consumer, message)).or_default();
            attempts.insert(by.to_owned());
            Ok(u32::try_from(attempts.len() - 1).unwrap_or(u32::MAX))
        })
    }

    async fn clear_attempts(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        message: &MessageId,
    ) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.cleared.insert(key(consumer, message));
            Ok(())
        })
    }

    async fn withdraw_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let key = key(consumer, message);
            if let Some(attempts) = tables.in_flight_attempts.get_mut(&key) {
                attempts.remove(by);
                if attempts.is_empty() {
                    tables.in_flight_attempts.remove(&key);
                }
            }
        });
        Ok(())
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let markers = &tables.markers;
            tables.in_flight_attempts.retain(|key, _| key.0 != consumer || !markers.contains_key(key));
        });
        Ok(())
    }
}

impl Primings<MemoryTx> for MemoryStore {
    async fn priming(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        Ok(self.tables(|tables| tables.primings.get(consumer).copied()))
    }

    async fn begin_priming(&self, tx: &mut MemoryTx, consumer: &str, after: u32) -> Result<bool, Error> {
        self.statement(tx, None, |tables, tx| {
            tables.locks.priming(tx.number, consumer)?;
            let begins = tables.primings.get(consumer).map_or(0, |priming| priming.number) == after;
            if begins {
                tx.writes.primings.push((consumer.to_owned(), Priming::begun(after + 1)));
            }
            Ok(begins)
        })
    }

    async fn write_priming(&self, tx: &mut MemoryTx, consumer: &str, priming: Priming) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.primings.push((consumer.to_owned(), priming));
            Ok(())
        })
    }
}
