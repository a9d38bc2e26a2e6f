//! The rows that a consumer writes in the transaction of its effects.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, Follower, Markers, NextOffset, Positions, Priming,
    Primings, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, UnhandledType,
};
use messagekit::{Claim, Error, ErrorKind, MessageId, ParkingLimits};

use crate::binding::{Binding, Move};
use crate::error::from_sqlite;
use crate::tables::failed_messages::{self, Way};
use crate::tables::{
    age, cleanup, in_flight_attempts, names, now, offsets, parking, primings, processed, retries, timestamp,
    unhandled_types,
};
use crate::{SqliteStore, SqliteTx};

/// Only one transaction of the file writes at a time, so claims never conflict. When a subscriber of this process reads the
/// topics from this file, its fenced cursor moves in the transaction of [`advance`](Positions::advance). A dropped call of a lease
/// may still run: a lease that no caller received expires and counts as a crash.
impl Markers for SqliteStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        let (consumer, now) = (consumer.to_owned(), now());
        let complete_since = self
            .job(move |conn| {
                names::consumer(conn, &consumer)
                    .and_then(|consumer| cleanup::note_window(conn, consumer, window, now))
                    .map_err(from_sqlite)
            })
            .await?;
        complete_since.map(timestamp).transpose()
    }

    async fn claim(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        let (name, wanted) = (consumer.to_owned(), requests.to_vec());
        let (answers, earlier) = tx
            .run(move |conn| {
                let consumer = names::consumer(conn, &name).map_err(from_sqlite)?;
                let before = |request: &ClaimRequest| match request.generation {
                    0 => Ok(None),
                    _ => processed::generation(conn, consumer, &request.id),
                };
                let earlier: Vec<_> =
                    wanted.iter().map(before).collect::<Result<_, _>>().map_err(from_sqlite)?;
                Ok((processed::claim(conn, consumer, &wanted, now())?, earlier))
            })
            .await?;
        let consumer: Arc<str> = Arc::from(consumer);
        for ((request, answer), earlier) in requests.iter().zip(&answers).zip(earlier) {
            if matches!(answer, Claim::Fresh | Claim::KeyBlocked) {
                tx.claimed.push((consumer.clone(), request.id.clone(), earlier));
            }
        }
        Ok(answers)
    }

    async fn unclaim(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<(), Error> {
        // The row of this claim looks like one that was committed long ago; deleting that would repeat its effects.
        let claimed = tx.claimed.iter().filter(|(of, ..)| **of == *consumer);
        let claimed: HashMap<&MessageId, Option<i32>> =
            claimed.map(|(_, id, earlier)| (id, *earlier)).collect();
        let own = |request: &ClaimRequest| Some((request.clone(), *claimed.get(&request.id)?));
        let own: Vec<(ClaimRequest, Option<i32>)> = requests.iter().filter_map(own).collect();
        let consumer = consumer.to_owned();
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            own.iter()
                .try_for_each(|(request, earlier)| processed::unclaim(conn, consumer, request, *earlier))
                .map_err(from_sqlite)
        })
        .await
    }
}

impl Positions for SqliteStore {
    async fn note_unhandled(&self, consumer: &str, types: &[UnhandledType]) -> Result<(), Error> {
        let (consumer, types, now) = (consumer.to_owned(), types.to_vec(), now());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| unhandled_types::note(conn, consumer, &types, now))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn advance(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> Result<(), Error> {
        let binding = self.bindings().of(consumer);
        let (consumer, positions, fence) = (consumer.to_owned(), positions.to_vec(), binding.clone());
        let moved = tx
            .run(move |conn| {
                let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
                offsets::advance(conn, consumer, &positions).map_err(from_sqlite)?;
                match fence {
                    Some(binding) => binding.advance(conn, consumer, moves(&binding, positions)?),
                    None => Ok(Vec::new()),
                }
            })
            .await?;
        if let Some(binding) = binding.filter(|_| !moved.is_empty()) {
            tx.on_commit(Box::new(move || binding.moved(&moved)));
        }
        Ok(())
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        let (consumer, topic) = (consumer.to_owned(), topic.to_owned());
        self.query(move |conn| offsets::next_of(conn, &consumer, &topic).map_err(from_sqlite)).await
    }
}

impl FailedMessageRows<SqliteTx> for SqliteStore {
    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        let (topics, now) = (topics.to_vec(), now());
        let oldest =
            self.query(move |conn| cleanup::oldest_return(conn, &topics).map_err(from_sqlite)).await?;
        Ok(oldest.map(|oldest| age(now, oldest)))
    }

    async fn set_aside(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let (consumer, received, failure) = (consumer.to_owned(), received.clone(), failure.clone());
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            failed_messages::set_aside(conn, consumer, &Way::default(), &received, &failure, now())
        })
        .await
    }

    async fn park(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        let (consumer, received, failure) = (consumer.to_owned(), received.clone(), failure.clone());
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            parking::park(conn, consumer, &received, &failure, limits, now())
        })
        .await
    }

    async fn park_behind(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        let consumer = consumer.to_owned();
        let behind: Vec<ReceivedMessage> = behind.iter().map(|received| (*received).clone()).collect();
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            parking::park_behind(conn, consumer, &behind, limits, now())
        })
        .await
    }
}

impl Retries<SqliteTx> for SqliteStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        let consumer: Arc<str> = Arc::from(consumer);
        let name = consumer.clone();
        // Polled several times a second: take the write lock only when there is work.
        if !self.query(move |conn| retries::any_due(conn, &name, now()).map_err(from_sqlite)).await? {
            return Ok(Vec::new());
        }
        self.job(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::lease(conn, consumer, max, lease, now())
        })
        .await
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        let (consumer, leased) = (consumer.to_owned(), leased.clone());
        self.job(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::begin_run(conn, consumer, &leased, most, lease, now()).map_err(from_sqlite)
        })
        .await
    }

    async fn followers(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        let consumer = consumer.to_owned();
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::followers(conn, consumer, failed_message, messages, bytes)
        })
        .await
    }

    async fn resolve(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        let (consumer, leased, followers) = (consumer.to_owned(), leased.clone(), followers.to_vec());
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::resolve(conn, consumer, &leased, &followers, now())
        })
        .await
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        let (consumer, leased, failure) = (consumer.to_owned(), leased.clone(), failure.clone());
        self.job(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::fail(conn, consumer, &leased, &failure, now()).map_err(from_sqlite)
        })
        .await
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        let (consumer, leased) = (consumer.to_owned(), leased.clone());
        self.job(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::hand_back(conn, consumer, &leased, delay, now()).map_err(from_sqlite)
        })
        .await
    }
}

impl Attempts<SqliteTx> for SqliteStore {
    async fn begin_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<u32, Error> {
        let (consumer, id, by, now) = (consumer.to_owned(), message.clone(), by.to_owned(), now());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::note(conn, consumer, &id, &by, now))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn clear_attempts(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        message: &MessageId,
    ) -> Result<(), Error> {
        let (consumer, id) = (consumer.to_owned(), message.clone());
        tx.run(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::clear_attempts(conn, consumer, &id))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn withdraw_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<(), Error> {
        let (consumer, id, by) = (consumer.to_owned(), message.clone(), by.to_owned());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::withdraw_attempt(conn, consumer, &id, &by))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        let consumer = consumer.to_owned();
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::sweep(conn, consumer))
                .map_err(from_sqlite)
        })
        .await
    }
}

impl Primings<SqliteTx> for SqliteStore {
    async fn priming(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        let consumer = consumer.to_owned();
        self.query(move |conn| primings::priming(conn, &consumer)).await
    }

    async fn begin_priming(&self, tx: &mut SqliteTx, consumer: &str, after: u32) -> Result<bool, Error> {
        let consumer = consumer.to_owned();
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            primings::begin(conn, consumer, after).map_err(from_sqlite)
        })
        .await
    }

    async fn write_priming(&self, tx: &mut SqliteTx, consumer: &str, priming: Priming) -> Result<(), Error> {
        let consumer = consumer.to_owned();
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            primings::write(conn, consumer, priming).map_err(from_sqlite)
        })
        .await
    }
}

/// A cursor is one position per partition: progress in one key lane does not cover the others.
fn moves(binding: &Binding, positions: Vec<NextOffset>) -> Result<Vec<Move>, Error> {
    positions
        .into_iter()
        .filter(|position| !Priming::owns(position.key_lane))
        .map(|position| {
            let NextOffset { topic, partition, key_lane, next } = position;
            if key_lane != 0 && binding.cursor(&topic, partition).is_some() {
                return Err(Error::new(
                    ErrorKind::InvalidConfiguration,
                    "topics of an SQLite file are consumed in one lane: do not divide their partitions by key",
                )
                .with("topic", topic));
            }
            Ok(Move { topic, partition, next })
        })
        .collect()
}
