//! A file database that serves its relays with one fault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, OutboxRows, WithoutRelay};
use messagekit::operations::Operator;
use messagekit::relay::{
    LONGEST_LEASE, Leases, OutboxReader, Page, PendingId, RejectedAction, RejectedEvent, RejectedEvents,
    Rejection, ShardLease, ShardRead,
};
use messagekit::{Error, Headers, Message, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::relay::RelayFixture;

use super::methods::{argument, faults, methods};
use super::{Row, Suite, everybody};

/// What a store does wrong for its relays.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    arguments: Arguments,
    calls: Calls,
    answers: Answers,
    rollback: for<'a> fn(&'a FaultyOutbox, SqliteTx) -> BoxFuture<'a, Result<(), Error>>,
    wake: fn(&SqliteStore),
}

impl Fault {
    const NONE: Self = Self {
        arguments: Arguments::RIGHT,
        calls: Calls::RIGHT,
        answers: Answers::RIGHT,
        rollback: |faulty, tx| Box::pin(faulty.inner.rollback(tx)),
        wake: |store| store.wake(),
    };
}

static RIGHT: Fault = Fault::NONE;

/// A fixture with one fault that wraps another fixture.
#[derive(Clone)]
pub(crate) struct FaultyRelayFixture<F> {
    inner: F,
    fault: &'static Fault,
}

impl<F> FaultyRelayFixture<F> {
    /// Wraps a fixture in one with this fault.
    pub(crate) fn new(inner: F, fault: Option<&'static Fault>) -> Self {
        Self { inner, fault: fault.unwrap_or(&RIGHT) }
    }
}

impl<F: RelayFixture<Store = SqliteStore>> RelayFixture for FaultyRelayFixture<F> {
    type Store = FaultyOutbox;

    fn store(&self) -> FaultyOutbox {
        FaultyOutbox { inner: self.inner.store(), fault: self.fault, notes: Arc::default() }
    }

    async fn second(&self) -> FaultyOutbox {
        FaultyOutbox { inner: self.inner.second().await, fault: self.fault, notes: Arc::default() }
    }
}

/// A store that serves its relays with one fault.
#[derive(Clone)]
pub(crate) struct FaultyOutbox {
    inner: SqliteStore,
    fault: &'static Fault,
    notes: Arc<Mutex<Notes>>,
}

/// What a fault remembers.
#[derive(Default)]
struct Notes {
    /// The last event read at each position.
    read: HashMap<(u16, i64), PendingId>,
    leases: i64,
}

impl FaultyOutbox {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lease with the epoch under which the shard is held now, whatever the request holds.
    async fn present(&self, name: &str, lease: ShardLease) -> Result<ShardLease, Error> {
        let held = self.inner.lease(name, LONGEST_LEASE).await?.held;
        Ok(held.into_iter().find(|held| held.shard == lease.shard).unwrap_or(lease))
    }
}

/// A transaction of the file, as it is.
trait Inside {
    fn inner(&mut self) -> &mut Self {
        self
    }
}

impl Inside for SqliteTx {}

impl Store for FaultyOutbox {
    type Tx = SqliteTx;

    async fn begin(&self) -> Result<SqliteTx, Error> {
        self.inner.begin().await
    }

    async fn commit(&self, tx: SqliteTx) -> Result<(), Error> {
        self.inner.commit(tx).await
    }

    async fn rollback(&self, tx: SqliteTx) -> Result<(), Error> {
        (self.fault.rollback)(self, tx).await
    }
}

methods! {
    FaultyOutbox over SqliteTx;
    OutboxRows {
        write(&tx; messages: (&[Message])) -> ();
        write_after(&tx; messages: (&[Message]), delay: (Duration), without_relay: (WithoutRelay)) -> ();
        + fn wake(&self) {
            (self.fault.wake)(&self.inner);
        }
    };
    OutboxReader {
        lease(name: (&str), lease: (Duration)) -> Leases;
        hand_over(name: (&str), shards: (&[ShardLease])) -> ();
        pending(name: (&str), wanted: (&[ShardRead]), except: (&[i64]), paused: (&[Arc<str>]), limit: (u32)) -> Page;
        published(rows: (&[PendingId])) -> ();
        set_aside(name: (&str), rejection: (&Rejection)) -> u64;
        due() -> Option<Duration>;
        + fn woken(&self) -> BoxFuture<'_, ()> {
            self.inner.woken()
        }
    }
    RejectedEvents {
        rejected(after: (i64), limit: (u32), with_waiting: (bool)) -> Vec<RejectedEvent>;
        act_on_rejected(action: (RejectedAction), id: (i64), operator: (&Operator)) -> u64;
    }
}

pub(crate) static ROWS: &[Row<Fault>] = faults! {
    /// Shards that are handed over stay with their relay.
    Relay one_relay_has_every_shard_and_two_share_them: call hand_over: |_, _, _| Ok(());
    /// A new relay takes shards that other relays hold.
    Relay one_relay_has_every_shard_and_two_share_them:
        answer lease: |_, leases| if leases.held.is_empty() {
            leases.held = (0..32).map(|shard| ShardLease { shard, epoch: 1 }).collect();
        };
    /// A lost shard is not reported.
    Relay shards_of_a_crashed_relay_are_taken_when_its_lease_ends:
        answer pending: |_, page| page.lost.clear();
    /// Every renewal increases the epoch.
    Relay expired_lease_reads_nothing_even_without_another_relay:
        answer lease: |faulty, leases| {
            let mut notes = faulty.notes();
            notes.leases += 1;
            leases.held.iter_mut().for_each(|lease| lease.epoch += notes.leases);
        };
    /// Any epoch is accepted.
    Relay shard_of_another_epoch_is_lost_and_the_others_are_read:
        call pending: |faulty, name, wanted, except, paused, limit| {
            let mut wanted = wanted.to_vec();
            for wanted in &mut wanted {
                wanted.lease = faulty.present(name, wanted.lease).await?;
            }
            faulty.inner.pending(name, &wanted, except, paused, limit).await
        };
    /// All relays count as one relay.
    Relay many_that_come_at_once_share_each_shard_out_once: arguments lease: |_, name, _| *name = everybody();
    /// A published event stays pending.
    Relay committed_events_are_found_until_they_are_published: call published: |_, _| Ok(());
    /// Headers are in reverse order.
    Relay message_goes_out_as_it_was_written:
        answer pending: |_, page| for row in &mut page.rows {
            let headers = std::mem::replace(&mut row.message.headers, Headers::new());
            let all: Vec<_> = headers.iter().collect();
            all.into_iter().rev().for_each(|(name, value)| row.message.headers.set(name, value.clone()));
        };
    /// Positions that open transactions can still undercut are reported as stable.
    Relay nothing_appears_below_the_stable_position:
        answer pending: |_, page| page.stable = page.stable.saturating_add(5);
    /// Confirmed events are read again.
    Relay what_is_confirmed_or_paused_is_left_out: arguments pending: |_, _, _, except, _, _| except.clear();
    /// Paused topics are read.
    Relay paused_backlog_hides_nothing: arguments pending: |_, _, _, _, paused, _| paused.clear();
    /// A page ignores its limit of events.
    Relay what_is_confirmed_or_paused_is_left_out: arguments pending: |_, _, _, _, _, limit| *limit = 100_000;
    /// The last event comes first.
    Relay what_is_confirmed_or_paused_is_left_out: answer pending: |_, page| page.rows.reverse();
    /// A page ignores its limit of bytes.
    Relay page_is_never_larger_than_memory_allows_and_never_empty:
        call pending: |faulty, name, wanted, except, paused, limit| {
            let mut page = faulty.inner.pending(name, wanted, except, paused, limit).await?;
            while page.more {
                let except: Vec<i64> = page.rows.iter().map(|row| row.seq).collect();
                let next = faulty.inner.pending(name, wanted, &except, paused, limit).await?;
                (page.more, page.rows) = (next.more, [page.rows, next.rows].concat());
            }
            Ok(page)
        };
    /// The page does not report that more events exist.
    Relay page_is_never_larger_than_memory_allows_and_never_empty:
        answer pending: |_, page| page.more = false;
    /// A delayed event is pending at once.
    Relay delayed_event_is_found_when_it_is_due:
        call write_after: |faulty, tx, messages, _, _| faulty.inner.write(tx, messages).await;
    /// The next due time is reported as absent.
    Relay delayed_event_is_found_when_it_is_due: call due: |_| Ok(None);
    /// Events that are delayed together change their order.
    Relay many_delayed_events_become_due_in_their_order:
        arguments write_after: |_, messages, _, _| messages.reverse();
    /// Any event at the position of a published event is deleted.
    Relay entry_of_another_event_deletes_and_sets_aside_nothing:
        answer pending: |faulty, page| {
            let read = page.rows.iter().map(|row| ((row.shard, row.seq), row.entry()));
            faulty.notes().read.extend(read);
        };
        arguments published: |faulty, rows| for row in rows {
            if let Some(read) = faulty.notes().read.get(&(row.shard, row.seq)) {
                row.clone_from(read);
            }
        };
    /// The count of events that were set aside is one too high.
    Relay refused_event_takes_what_is_behind_it_in_its_key: answer set_aside: |_, moved| *moved += 1;
    /// Lists do not say why an event was refused.
    Relay refused_event_takes_what_is_behind_it_in_its_key:
        answer rejected: |_, events| events.iter_mut().for_each(|event| event.error = None);
    /// The page does not report that an earlier event of the key was refused.
    Relay later_event_of_a_refused_key_is_held_and_set_aside_behind_it:
        answer pending: |_, page| page.rows.iter_mut().for_each(|row| row.held = false);
    /// Events are set aside under any epoch.
    Relay relay_without_the_shard_rejects_nothing:
        call set_aside: |faulty, name, rejection| {
            let lease = faulty.present(name, rejection.lease).await?;
            faulty.inner.set_aside(name, &Rejection { lease, ..rejection.clone() }).await
        };
    /// A retry counts one event, however many wait behind it.
    Relay retry_restores_a_whole_key_in_order_and_rereads_its_shard:
        answer act_on_rejected: |_, moved| *moved = 1;
    /// A discard is a retry.
    Relay discarded_event_is_gone_and_lets_go_what_waits_for_it_alone:
        arguments act_on_rejected: |_, action, _, _| *action = RejectedAction::Retry;
    /// Events that are set aside are lost.
    Relay operator_and_relay_moving_one_key_at_once_lose_nothing:
        call set_aside: |faulty, name, rejection| {
            faulty.inner.published(std::slice::from_ref(&rejection.entry)).await?;
            faulty.inner.set_aside(name, rejection).await
        };
    /// A relay is not woken.
    Relay commit_of_the_outbox_wakes_a_relay: set wake: |_| ();
    /// An event that was rolled back is pending.
    Relay committed_events_are_published_and_no_others:
        set rollback: |faulty, tx| Box::pin(faulty.inner.commit(tx));
};
