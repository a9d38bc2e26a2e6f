//! A database outbox: late commits, shards with epochs, failing statements.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::relay::{Leases, OutboxReader, Page, PendingId, Rejection, ShardLease, ShardRead};
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::tables::{Decided, Key, Row, Shard, State, shard_of};

/// A database. A clone is a handle to the same one.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    woken: Notify,
}

/// A transaction: its events have positions and are invisible to others.
#[must_use]
pub(crate) struct Tx {
    outbox: Outbox,
    rows: Vec<(u16, i64, Message, Option<Duration>)>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let state = State::new();
        Self(Arc::new(Shared { state: Mutex::new(state), woken: Notify::new() }))
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.0.state.lock().unwrap())
    }

    /// Sets the maximum latency of statements, and how many of a hundred fail.
    pub(crate) fn disturb(&self, seed: u64, latency: Duration, failing: u8) {
        self.with(|state| {
            (state.dice, state.latency, state.failing) = (fastrand::Rng::with_seed(seed), latency, failing);
        });
    }

    pub(crate) fn says_decided(&self, decided: Decided) {
        self.with(|state| state.decided = decided);
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    /// Stops responding to statements.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.with(|state| state.silent = silent);
    }

    pub(crate) fn set_deletes_down(&self, down: bool) {
        self.with(|state| state.deletes_down = down);
    }

    pub(crate) fn set_set_asides_down(&self, down: bool) {
        self.with(|state| state.set_asides_down = down);
    }

    /// Fails every statement with a permanent error.
    pub(crate) fn break_it(&self, kind: ErrorKind) {
        self.with(|state| state.broken = Some(kind));
    }

    /// Responds again.
    pub(crate) fn mend(&self) {
        self.with(|state| state.broken = None);
    }

    pub(crate) fn begin(&self) -> Tx {
        Tx { outbox: self.clone(), rows: Vec::new() }
    }

    /// Commits messages without a notification.
    pub(crate) fn write(&self, messages: impl IntoIterator<Item = Message>) {
        let mut tx = self.begin();
        messages.into_iter().for_each(|message| tx.add(message));
        tx.commit();
    }

    /// Commits a message at a chosen position, as in a restored table.
    pub(crate) fn write_at(&self, seq: i64, message: Message) {
        self.with(|state| {
            state.pending.insert((shard_of(&message), seq), Row { message, available_at: None });
        });
    }

    /// Loses the events of the last positions, which are assigned again, as on a standby that had not received them.
    pub(crate) fn fail_over(&self, lost: i64) {
        self.with(|state| {
            state.failovers += 1;
            state.next_seq -= lost;
            let next = state.next_seq;
            state.pending.retain(|(_, seq), _| *seq < next);
            // The new server's open transactions are unknown until it reads them.
            state.was_decided.clear();
        });
    }

    pub(crate) fn wake(&self) {
        self.0.woken.notify_one();
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.with(|state| state.pending.len())
    }

    /// Returns the rejected ids of a topic and key.
    pub(crate) fn rejected_of(&self, topic: &str, key: &str) -> Vec<String> {
        let key = (Arc::from(topic), bytes::Bytes::from(key.to_owned()));
        self.with(|state| {
            let rejected = state.rejected.get(&key).into_iter().flatten();
            rejected.map(|(_, _, message)| message.headers.text("id").unwrap().to_owned()).collect()
        })
    }

    pub(crate) fn rejected_keys(&self) -> Vec<Key> {
        self.with(|state| state.rejected.keys().cloned().collect())
    }

    pub(crate) fn rejected_count(&self) -> usize {
        self.with(|state| {
            state.rejected.values().map(Vec::len).sum::<usize>() + state.rejected_without_key.len()
        })
    }

    /// Returns all events of a key to their previous positions, as an operator does.
    pub(crate) fn retry(&self, key: &Key) {
        self.with(|state| {
            for (shard, seq, message) in state.rejected.remove(key).into_iter().flatten() {
                state.pending.insert((shard, seq), Row { message, available_at: None });
                state.shards[usize::from(shard)].epoch += 1;
            }
        });
    }

    /// Returns the number of shards of a relay, by its builder's name.
    pub(crate) fn shards_of(&self, name: &str) -> usize {
        let now = Instant::now();
        let is_of = |shard: &&Shard| {
            shard.until > now && shard.owner.as_deref().is_some_and(|owner| owner.starts_with(name))
        };
        self.with(|state| state.shards.iter().filter(is_of).count())
    }

    /// Runs one statement with latency; its result may be an error although its work is done.
    async fn statement<R>(&self, work: impl FnOnce(&mut State) -> R) -> Result<R, Error> {
        self.statement_that(|state| state.down, work).await
    }

    async fn statement_that<R>(
        &self,
        is_down: impl FnOnce(&State) -> bool,
        work: impl FnOnce(&mut State) -> R,
    ) -> Result<R, Error> {
        let (before, after, fate) = self.with(|state| {
            let most = state.latency.as_micros() as u64;
            let mut wait = || Duration::from_micros(if most == 0 { 0 } else { state.dice.u64(0..most) });
            let (before, after) = (wait(), wait());
            (before, after, state.dice.u8(0..100))
        });
        if !before.is_zero() {
            tokio::time::sleep(before).await;
        }
        if self.with(|state| state.silent) {
            std::future::pending::<()>().await;
        }
        let unavailable = || Error::new(ErrorKind::Unavailable, "connection refused");
        let (answer, failing) = self.with(|state| {
            if let Some(kind) = state.broken {
                return (Err(Error::new(kind, "tables are missing")), 0);
            }
            if is_down(state) || fate < state.failing / 2 {
                return (Err(unavailable()), state.failing);
            }
            (Ok(work(state)), state.failing)
        });
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        tokio::task::yield_now().await;
        if fate < failing { Err(unavailable()) } else { answer }
    }
}

impl Tx {
    pub(crate) fn add(&mut self, message: Message) {
        self.add_row(message, None);
    }

    pub(crate) fn add_after(&mut self, message: Message, delay: Duration) {
        self.add_row(message, Some(delay));
    }

    fn add_row(&mut self, message: Message, delay: Option<Duration>) {
        let seq = self.outbox.with(|state| {
            state.next_seq += 1;
            state.open.insert(state.next_seq - 1);
            state.next_seq - 1
        });
        self.rows.push((shard_of(&message), seq, message, delay));
    }

    pub(crate) fn commit(mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.outbox.with(|state| {
            for (shard, seq, message, delay) in rows {
                state.open.remove(&seq);
                let available_at = delay.map(|delay| Instant::now() + delay);
                state.pending.insert((shard, seq), Row { message, available_at });
            }
        });
    }
}

/// Rolls back uncommitted writes.
impl Drop for Tx {
    fn drop(&mut self) {
        self.outbox.with(|state| state.open.retain(|open| self.rows.iter().all(|(_, seq, ..)| seq != open)));
    }
}

impl OutboxReader for Outbox {
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>> {
        Box::pin(self.statement(move |state| state.lease(name, lease)))
    }

    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.statement(move |state| {
            for (number, shard) in state.shards.iter_mut().enumerate() {
                let lease = ShardLease { shard: number as u16, epoch: shard.epoch };
                if shard.owner.as_deref() == Some(name) && (shards.is_empty() || shards.contains(&lease)) {
                    shard.owner = None;
                }
            }
            if shards.is_empty() {
                state.members.remove(name);
            }
        }))
    }

    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [ShardRead],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(self.statement(move |state| state.pending(name, wanted, except, paused, limit as usize)))
    }

    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>> {
        let is_down = |state: &State| state.down || state.deletes_down;
        Box::pin(self.statement_that(is_down, move |state| {
            state.statements.published += 1;
            rows.iter().for_each(|entry| state.published(entry));
        }))
    }

    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>> {
        let is_down = |state: &State| state.down || state.set_asides_down;
        Box::pin(self.statement_that(is_down, move |state| state.set_aside(name, rejection)))
    }

    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(self.statement(|state| {
            state.statements.due += 1;
            let now = Instant::now();
            for row in state.pending.values_mut() {
                if row.available_at.is_some_and(|at| at <= now) {
                    row.available_at = None;
                }
            }
            state.pending.values().filter_map(|row| row.available_at).min().map(|at| at - now)
        }))
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.woken.notified())
    }
}
