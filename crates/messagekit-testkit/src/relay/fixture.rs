//! The fixture that an adapter supplies to run the relay suite, and helpers for the cases.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::operations::Operator;
use messagekit::relay::{
    LONGEST_LEASE, Leases, OutboxReader, Page, Pending, PendingId, RejectedEvents, Rejection, ShardLease,
    ShardRead,
};
use messagekit::{Error, ErrorKind, Message, headers};

/// The topics whose events relays publish.
pub const TOPICS: [&str; 2] = ["orders.order", "stock.item"];

/// Longer than any case.
pub(super) const LEASE: Duration = LONGEST_LEASE;

/// An empty database with an outbox that relays publish, for events of [`TOPICS`]. A clone uses the same database.
pub trait RelayFixture: Clone + Send + Sync + 'static {
    /// The adapter's store.
    type Store: OutboxRows + OutboxReader + RejectedEvents + Clone;

    /// Returns a handle to the database.
    fn store(&self) -> Self::Store;

    /// Opens the same database a second time, as another process would.
    fn second(&self) -> impl Future<Output = Self::Store> + Send;
}

/// Makes an event.
pub(super) fn event(topic: &str, id: &str, key: Option<&str>) -> Message {
    let event = Message::new(topic, "{}").with_header(headers::ID, id.to_owned());
    match key {
        Some(key) => event.with_key(key.to_owned()),
        None => event,
    }
}

/// Writes messages in a transaction of their own, which commits.
pub(super) async fn write<S: OutboxRows>(store: &S, messages: &[Message]) {
    let mut tx = store.begin().await.expect("a transaction begins");
    store.write(&mut tx, messages).await.expect("events can be written");
    store.commit(tx).await.expect("the transaction commits");
}

/// Writes events of the first topic, each in a transaction of its own.
pub(super) async fn write_key<S: OutboxRows>(store: &S, key: &str, ids: &[&str]) {
    for id in ids {
        write(store, &[event(TOPICS[0], id, Some(key))]).await;
    }
}

/// Leases every free shard for a long time.
pub(super) async fn lease<S: OutboxReader>(store: &S, name: &str) -> Leases {
    store.lease(name, LEASE).await.expect("shards can be leased")
}

/// Returns a read of every event, for each leased shard.
pub(super) fn everything(leases: &Leases) -> Vec<ShardRead> {
    leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect()
}

/// Reads every event that is ready as the relay `name`, with its leases.
pub(super) async fn read<S: OutboxReader>(store: &S, name: &str, leases: &Leases) -> Page {
    read_but(store, name, leases, &[], &[], 1_000).await
}

/// Reads as a relay does.
pub(super) async fn read_but<S: OutboxReader>(
    store: &S,
    name: &str,
    leases: &Leases,
    except: &[i64],
    paused: &[Arc<str>],
    limit: u32,
) -> Page {
    let answer = store.pending(name, &everything(leases), except, paused, limit).await;
    answer.expect("what is pending can be read")
}

/// Records the events of a page as published.
pub(super) async fn publish<S: OutboxReader>(store: &S, page: &Page) {
    let entries: Vec<PendingId> = page.rows.iter().map(Pending::entry).collect();
    store.published(&entries).await.expect("what is published can be noted");
}

pub(super) fn id(row: &Pending) -> &str {
    row.message.headers.text(headers::ID).expect("each event has an id")
}

pub(super) fn ids(page: &Page) -> Vec<&str> {
    page.rows.iter().map(id).collect()
}

/// Returns the ids in the order of their positions.
pub(super) fn in_order(page: &Page) -> Vec<String> {
    let mut rows: Vec<&Pending> = page.rows.iter().collect();
    rows.sort_by_key(|row| row.seq);
    rows.into_iter().map(|row| id(row).to_owned()).collect()
}

/// Returns the lease of a shard.
pub(super) fn lease_of(leases: &Leases, shard: u16) -> ShardLease {
    *leases.held.iter().find(|lease| lease.shard == shard).expect("the shard is leased")
}

/// A relay that holds every shard, and an operator.
pub(super) struct Operated<S> {
    pub(super) store: S,
}

impl<S: OutboxReader + RejectedEvents> Operated<S> {
    pub(super) const RELAY: &str = "r1";

    pub(super) async fn page(&self) -> Page {
        let leases = lease(&self.store, Self::RELAY).await;
        read(&self.store, Self::RELAY, &leases).await
    }

    pub(super) async fn waiting(&self) -> Vec<String> {
        in_order(&self.page().await)
    }

    pub(super) async fn rejection(&self, of: &str, error: Option<&'static str>) -> Rejection {
        let leases = lease(&self.store, Self::RELAY).await;
        let page = read(&self.store, Self::RELAY, &leases).await;
        let row = page.rows.iter().find(|row| id(row) == of).expect("it is pending");
        let error = error.map(|text| Error::new(ErrorKind::TooLarge, text));
        Rejection { lease: lease_of(&leases, row.shard), entry: row.entry(), error }
    }

    pub(super) async fn set_aside(&self, of: &str, error: Option<&'static str>) -> u64 {
        let rejection = self.rejection(of, error).await;
        self.store.set_aside(Self::RELAY, &rejection).await.expect("events can be set aside")
    }

    /// Returns the number of an event that was set aside.
    pub(super) async fn number(&self, of: &str) -> i64 {
        let all = self.store.rejected(0, 1_000, true).await.expect("what was set aside can be listed");
        all.iter().find(|event| event.event_id.as_str() == of).expect("it was set aside").id
    }

    /// Counts the events that were set aside.
    pub(super) async fn set_aside_count(&self) -> usize {
        self.store.rejected(0, 1_000, true).await.expect("what was set aside can be listed").len()
    }
}

/// Returns an operator.
pub(super) fn ann() -> Operator {
    Operator::new("ann", "test")
}
