//! The tables and statements of an outbox, each atomic.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use messagekit::relay::{Leases, Page, Pending, PendingId, Rejection, SHARDS, ShardLease, ShardRead};
use messagekit::{ErrorKind, Message};
use tokio::time::Instant;

/// Key of rejected events.
pub(crate) type Key = (Arc<str>, bytes::Bytes);

pub(crate) struct State {
    pub(super) next_seq: i64,
    pub(super) pending: BTreeMap<(u16, i64), Row>,
    pub(super) shards: Vec<Shard>,
    pub(super) members: BTreeMap<String, Instant>,
    pub(super) rejected: BTreeMap<Key, Vec<(u16, i64, Message)>>,
    pub(super) rejected_without_key: Vec<Message>,
    /// Ids of events that cannot be read.
    pub(crate) unreadable: BTreeSet<String>,
    pub(super) dice: fastrand::Rng,
    pub(super) latency: Duration,
    /// Number of statements of a hundred that fail, before or after their work.
    pub(super) failing: u8,
    pub(super) open: BTreeSet<i64>,
    pub(super) decided: Decided,
    pub(super) was_decided: VecDeque<i64>,
    /// Number of servers that failed before the current one.
    pub(super) failovers: u64,
    pub(super) down: bool,
    pub(super) silent: bool,
    pub(super) deletes_down: bool,
    pub(super) set_asides_down: bool,
    pub(super) broken: Option<ErrorKind>,
    pub(crate) statements: Statements,
    pub(crate) reads: Vec<Read>,
}

/// Number of calls of each statement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statements {
    pub(crate) lease: u64,
    pub(crate) pending: u64,
    pub(crate) published: u64,
    pub(crate) set_aside: u64,
    pub(crate) due: u64,
}

/// A read and its page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// Number of events that the relay requested.
    pub(crate) requested: usize,
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// The stable position that the outbox reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    /// The true one.
    Exactly,
    /// The true one of some reads ago.
    Late,
    Nothing,
}

pub(super) struct Row {
    pub(super) message: Message,
    pub(super) available_at: Option<Instant>,
}

#[derive(Clone)]
pub(super) struct Shard {
    pub(super) owner: Option<String>,
    pub(super) epoch: i64,
    pub(super) until: Instant,
}

pub(crate) fn shard_of(message: &Message) -> u16 {
    // Use few shards: many keys share one.
    let of = message.key.as_deref().unwrap_or_else(|| message.headers.get("id").unwrap());
    of.iter().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte))) as u16 % 5 * 12
}

impl State {
    pub(super) fn new() -> Self {
        let free = Shard { owner: None, epoch: 0, until: Instant::now() };
        Self {
            next_seq: 1,
            pending: BTreeMap::new(),
            shards: vec![free; usize::from(SHARDS)],
            members: BTreeMap::new(),
            rejected: BTreeMap::new(),
            rejected_without_key: Vec::new(),
            unreadable: BTreeSet::new(),
            dice: fastrand::Rng::with_seed(1),
            latency: Duration::ZERO,
            failing: 0,
            open: BTreeSet::new(),
            decided: Decided::Exactly,
            was_decided: VecDeque::new(),
            failovers: 0,
            down: false,
            silent: false,
            deletes_down: false,
            set_asides_down: false,
            broken: None,
            statements: Statements::default(),
            reads: Vec::new(),
        }
    }

    pub(super) fn decided(&mut self) -> i64 {
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

    pub(super) fn lease(&mut self, name: &str, lease: Duration) -> Leases {
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

    pub(super) fn pending(
        &mut self,
        name: &str,
        wanted: &[ShardRead],
        except: &[i64],
        paused: &[Arc<str>],
        limit: usize,
    ) -> Page {
        let page = self.page(name, wanted, except, paused, limit);
        let bytes = page.rows.iter().map(|row| row.message.size()).sum();
        self.reads.push(Read { requested: limit, events: page.rows.len(), bytes });
        page
    }

    fn page(
        &mut self,
        name: &str,
        wanted: &[ShardRead],
        except: &[i64],
        paused: &[Arc<str>],
        limit: usize,
    ) -> Page {
        self.statements.pending += 1;
        let server = format!("server {}", self.failovers);
        let mut page = Page { stable: self.decided(), server, ..Page::default() };
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
                let message = row.message.clone();
                let id = message.headers.text("id").unwrap_or_default();
                let unreadable = self.unreadable.contains(id).then(|| format!("{id} cannot be read"));
                page.rows.push(Pending { shard, seq: *seq, copy: 0, held, unreadable, message });
            }
        }
        page
    }

    /// Returns whether this event is at its position.
    fn stands(&self, entry: &PendingId) -> bool {
        let id = |row: &Row| row.message.headers.text("id") == Some(entry.event_id.as_str());
        self.pending.get(&(entry.shard, entry.seq)).is_some_and(id)
    }

    pub(super) fn published(&mut self, entry: &PendingId) {
        if self.stands(entry) {
            self.pending.remove(&(entry.shard, entry.seq));
        }
    }

    pub(super) fn set_aside(&mut self, name: &str, rejection: &Rejection) -> u64 {
        self.statements.set_aside += 1;
        let position = (rejection.lease.shard, rejection.entry.seq);
        if !self.is_of(name, rejection.lease) || !self.stands(&rejection.entry) {
            return 0;
        }
        let Some(key) = Self::key_of(&self.pending[&position].message) else {
            self.rejected_without_key.extend(self.pending.remove(&position).map(|row| row.message));
            return 1;
        };
        let is_held = self
            .rejected
            .get(&key)
            .and_then(|rows| rows.first())
            .is_some_and(|first| first.1 < rejection.entry.seq);
        if rejection.error.is_none() && !is_held {
            return 0;
        }
        let behind = self.pending.range(position..=(position.0, i64::MAX));
        let behind = behind.filter(|(_, row)| Self::key_of(&row.message).as_ref() == Some(&key));
        let behind: Vec<(u16, i64)> = behind.map(|(position, _)| *position).collect();
        for position in &behind {
            let row = self.pending.remove(position).unwrap();
            self.rejected.entry(key.clone()).or_default().push((position.0, position.1, row.message));
        }
        self.rejected.entry(key).or_default().sort_by_key(|row| row.1);
        behind.len() as u64
    }
}
