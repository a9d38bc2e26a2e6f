//! An outbox as a database keeps it: transactions that commit late, slices with epochs, statements that fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::relay::{Leases, OutboxReader, Page, Pending, Rejection, SHARDS, ShardLease, Wanted};
use messagekit::{BoxFuture, Error, ErrorKind, Message};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A database. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    woken: Notify,
}

/// What a key's refused events are found under.
type Key = (Arc<str>, bytes::Bytes);

pub(crate) struct State {
    next_seq: i64,
    pending: BTreeMap<(u16, i64), Row>,
    shards: Vec<Shard>,
    members: BTreeMap<String, Instant>,
    rejected: BTreeMap<Key, Vec<(u16, i64, Message)>>,
    rejected_without_key: Vec<Message>,
    dice: fastrand::Rng,
    latency: Duration,
    /// Of a hundred statements, so many fail before or after they have done their work.
    failing: u8,
    open: BTreeSet<i64>,
    decided: Decided,
    was_decided: VecDeque<i64>,
    down: bool,
    deletes_down: bool,
    set_asides_down: bool,
    broken: Option<ErrorKind>,
    pub(crate) statements: Statements,
}

/// How often each statement was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statements {
    pub(crate) lease: u64,
    pub(crate) pending: u64,
    pub(crate) published: u64,
    pub(crate) set_aside: u64,
    pub(crate) due: u64,
}

/// What the outbox says is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    /// As much as is true.
    Exactly,
    /// As much as was true some reads ago.
    Late,
    Nothing,
}

struct Row {
    message: Message,
    available_at: Option<Instant>,
}

#[derive(Clone)]
struct Shard {
    owner: Option<String>,
    epoch: i64,
    until: Instant,
}

/// A transaction: its events have their places, and nobody sees them.
#[must_use]
pub(crate) struct Tx {
    outbox: Outbox,
    rows: Vec<(u16, i64, Message, Option<Duration>)>,
}

pub(crate) fn shard_of(message: &Message) -> u16 {
    // Few slices, so that many keys share one.
    let of = message.key.as_deref().unwrap_or_else(|| message.headers.get("id").unwrap());
    of.iter().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte))) as u16 % 5 * 12
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let free = Shard { owner: None, epoch: 0, until: Instant::now() };
        let state = State {
            next_seq: 1,
            pending: BTreeMap::new(),
            shards: vec![free; usize::from(SHARDS)],
            members: BTreeMap::new(),
            rejected: BTreeMap::new(),
            rejected_without_key: Vec::new(),
            dice: fastrand::Rng::with_seed(1),
            latency: Duration::ZERO,
            failing: 0,
            open: BTreeSet::new(),
            decided: Decided::Exactly,
            was_decided: VecDeque::new(),
            down: false,
            deletes_down: false,
            set_asides_down: false,
            broken: None,
            statements: Statements::default(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), woken: Notify::new() }))
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.0.state.lock().unwrap())
    }

    /// Lets statements take up to so long, and so many of a hundred fail.
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

    pub(crate) fn set_deletes_down(&self, down: bool) {
        self.with(|state| state.deletes_down = down);
    }

    pub(crate) fn set_set_asides_down(&self, down: bool) {
        self.with(|state| state.set_asides_down = down);
    }

    /// Answers every statement with an error that no waiting cures.
    pub(crate) fn break_it(&self, kind: ErrorKind) {
        self.with(|state| state.broken = Some(kind));
    }

    pub(crate) fn begin(&self) -> Tx {
        Tx { outbox: self.clone(), rows: Vec::new() }
    }

    /// Commits messages without telling anybody.
    pub(crate) fn write(&self, messages: impl IntoIterator<Item = Message>) {
        let mut tx = self.begin();
        messages.into_iter().for_each(|message| tx.add(message));
        tx.commit();
    }

    pub(crate) fn wake(&self) {
        self.0.woken.notify_one();
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.with(|state| state.pending.len())
    }

    /// Ids that were set aside, of a topic and key.
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

    /// Puts everything of a key back at its old places, as an operator does.
    pub(crate) fn retry(&self, key: &Key) {
        self.with(|state| {
            for (shard, seq, message) in state.rejected.remove(key).into_iter().flatten() {
                state.pending.insert((shard, seq), Row { message, available_at: None });
                state.shards[usize::from(shard)].epoch += 1;
            }
        });
    }

    /// How many slices a relay has now, by its builder's name.
    pub(crate) fn slices_of(&self, name: &str) -> usize {
        let now = Instant::now();
        let is_of = |shard: &&Shard| {
            shard.until > now && shard.owner.as_deref().is_some_and(|owner| owner.starts_with(name))
        };
        self.with(|state| state.shards.iter().filter(is_of).count())
    }

    /// One statement: it takes its time, and its answer may be an error although it has done its work.
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

/// Rolls back what was not committed.
impl Drop for Tx {
    fn drop(&mut self) {
        self.outbox.with(|state| state.open.retain(|open| self.rows.iter().all(|(_, seq, ..)| seq != open)));
    }
}

impl State {
    fn decided(&mut self) -> i64 {
        let exactly = self.open.first().map_or(self.next_seq, |first| *first) - 1;
        self.was_decided.push_back(exactly);
        match self.decided {
            Decided::Exactly => exactly,
            Decided::Late if self.was_decided.len() > 10 => self.was_decided.pop_front().unwrap_or_default(),
            Decided::Late | Decided::Nothing => 0,
        }
    }

    fn is_of(&self, name: &str, lease: ShardLease) -> bool {
        let shard = &self.shards[usize::from(lease.shard)];
        shard.owner.as_deref() == Some(name) && shard.epoch == lease.epoch && shard.until > Instant::now()
    }

    fn lease(&mut self, name: &str, lease: Duration) -> Leases {
        self.statements.lease += 1;
        let now = Instant::now();
        self.members.insert(name.to_owned(), now + lease);
        self.members.retain(|_, until| *until > now);
        let share = usize::from(SHARDS).div_ceil(self.members.len());
        let mut held = self
            .shards
            .iter()
            .filter(|shard| shard.owner.as_deref() == Some(name) && shard.until > now)
            .count();
        for shard in &mut self.shards {
            if shard.owner.as_deref() == Some(name) && shard.until > now {
                shard.until = now + lease;
            } else if (shard.owner.is_none() || shard.until <= now) && held < share {
                *shard = Shard { owner: Some(name.to_owned()), epoch: shard.epoch + 1, until: now + lease };
                held += 1;
            }
        }
        let own = self
            .shards
            .iter()
            .enumerate()
            .filter(|(_, shard)| shard.owner.as_deref() == Some(name) && shard.until > now);
        let held: Vec<ShardLease> =
            own.map(|(shard, row)| ShardLease { shard: shard as u16, epoch: row.epoch }).collect();
        let surplus = held.len().saturating_sub(share);
        Leases { held, surplus }
    }

    fn key_of(message: &Message) -> Option<Key> {
        message.key.clone().map(|key| (message.topic.clone(), key))
    }

    fn pending(
        &mut self,
        name: &str,
        wanted: &[Wanted],
        except: &[i64],
        paused: &[Arc<str>],
        limit: usize,
    ) -> Page {
        self.statements.pending += 1;
        let mut page = Page { decided: self.decided(), ..Page::default() };
        for wanted in wanted {
            let shard = wanted.lease.shard;
            if !self.is_of(name, wanted.lease) {
                page.lost.push(shard);
                continue;
            }
            for ((_, seq), row) in self.pending.range((shard, i64::MIN)..=(shard, i64::MAX)) {
                let is_left_out = *seq <= wanted.above
                    || row.available_at.is_some()
                    || except.contains(seq)
                    || paused.contains(&row.message.topic);
                if is_left_out {
                    continue;
                }
                if page.rows.len() == limit {
                    page.more = true;
                    return page;
                }
                let before = Self::key_of(&row.message).and_then(|key| self.rejected.get(&key)?.first());
                let held = before.is_some_and(|(_, first, _)| first < seq);
                page.rows.push(Pending { shard, seq: *seq, held, message: row.message.clone() });
            }
        }
        page
    }

    fn set_aside(&mut self, name: &str, rejection: &Rejection) -> u64 {
        self.statements.set_aside += 1;
        let place = (rejection.lease.shard, rejection.seq);
        if !self.is_of(name, rejection.lease) || !self.pending.contains_key(&place) {
            return 0;
        }
        let Some(key) = Self::key_of(&self.pending[&place].message) else {
            self.rejected_without_key.extend(self.pending.remove(&place).map(|row| row.message));
            return 1;
        };
        let is_held = self
            .rejected
            .get(&key)
            .and_then(|rows| rows.first())
            .is_some_and(|first| first.1 < rejection.seq);
        if rejection.error.is_none() && !is_held {
            return 0;
        }
        let behind = self.pending.range(place..=(place.0, i64::MAX));
        let behind = behind.filter(|(_, row)| Self::key_of(&row.message).as_ref() == Some(&key));
        let behind: Vec<(u16, i64)> = behind.map(|(place, _)| *place).collect();
        for place in &behind {
            let row = self.pending.remove(place).unwrap();
            self.rejected.entry(key.clone()).or_default().push((place.0, place.1, row.message));
        }
        self.rejected.entry(key).or_default().sort_by_key(|row| row.1);
        behind.len() as u64
    }
}

impl OutboxReader for Outbox {
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>> {
        Box::pin(self.statement(move |state| state.lease(name, lease)))
    }

    fn hand_over<'a>(&'a self, name: &'a str, slices: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.statement(move |state| {
            for (number, shard) in state.shards.iter_mut().enumerate() {
                let lease = ShardLease { shard: number as u16, epoch: shard.epoch };
                if shard.owner.as_deref() == Some(name) && (slices.is_empty() || slices.contains(&lease)) {
                    shard.owner = None;
                }
            }
            if slices.is_empty() {
                state.members.remove(name);
            }
        }))
    }

    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [Wanted],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(self.statement(move |state| state.pending(name, wanted, except, paused, limit as usize)))
    }

    fn published<'a>(&'a self, rows: &'a [(u16, i64)]) -> BoxFuture<'a, Result<(), Error>> {
        let is_down = |state: &State| state.down || state.deletes_down;
        Box::pin(self.statement_that(is_down, move |state| {
            state.statements.published += 1;
            rows.iter().for_each(|place| drop(state.pending.remove(place)));
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
