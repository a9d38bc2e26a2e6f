//! The outbox operations that the relay needs.

use std::sync::Arc;
use std::time::Duration;

use crate::store::BoxFuture;
use crate::{Error, Message, MessageId, headers};

/// Number of shards of an outbox. All events of a key are in one shard, whatever their topic.
pub const SHARDS: u16 = 64;

/// The longest lease of a relay. A stored lease with a later end is of a clock that has been set back since.
pub const LONGEST_LEASE: Duration = Duration::from_secs(10 * 60);

/// The right of a relay to publish one shard of an outbox.
///
/// The epoch increases when another relay takes the shard and when events are put back into it. A call under an older epoch
/// returns nothing and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardLease {
    /// The shard, below [`SHARDS`].
    pub shard: u16,
    /// Fences off earlier owners.
    pub epoch: i64,
}

/// The shards that a relay may publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// All shards of this relay until the lease ends, by number.
    pub held: Vec<ShardLease>,
    /// The number of shards above its fair share. The relay hands them over when none of their events are in flight.
    pub surplus: usize,
}

/// A request to read one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRead {
    /// The shard and its lease.
    pub lease: ShardLease,
    /// Only events behind this position; `i64::MIN` for all events.
    pub above: i64,
}

/// An event that waits for publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// The shard of the event.
    pub shard: u16,
    /// Its position: events of one key are published in the order of their positions. A reader must not continue from a
    /// position alone, because an earlier position may be committed later.
    pub seq: i64,
    /// Distinguishes publications of one id: the number of the republication, or another counter of the outbox.
    pub copy: i64,
    /// An earlier event of its topic and key was rejected, or is unreadable in the same page. The relay must set this event
    /// aside behind that one, and not publish it.
    pub held: bool,
    /// The reason why the event cannot be read, with a cure. The relay must set it aside. The message then has topic and id,
    /// and all other readable parts.
    pub unreadable: Option<String>,
    /// The message to publish.
    pub message: Message,
}

impl Pending {
    /// Returns the entry that identifies the event in the outbox.
    pub fn entry(&self) -> PendingId {
        let event_id = self.message.headers.text(headers::ID).unwrap_or_default();
        PendingId {
            shard: self.shard,
            seq: self.seq,
            topic: Arc::clone(&self.message.topic),
            copy: self.copy,
            event_id: MessageId::from_stored(event_id),
        }
    }
}

/// The identity of a pending event.
///
/// The position alone is not enough: after a restore from a backup, or a failover that lost commits, a database assigns
/// positions a second time. A call for one event would then affect another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingId {
    /// The shard of the event.
    pub shard: u16,
    /// The position of the event.
    pub seq: i64,
    /// The topic of the event.
    pub topic: Arc<str>,
    /// As in [`Pending`].
    pub copy: i64,
    /// The id of the event; empty for a message without one.
    pub event_id: MessageId,
}

/// The result of a read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The events: the first ones of each shard above the requested position, in order.
    pub rows: Vec<Pending>,
    /// Shards that do not belong to this relay under the requested epoch: the relay must first renew its leases.
    pub lost: Vec<u16>,
    /// There may be more events than the limit allowed: the shard of the last row is incomplete, and the shards behind it were
    /// not read.
    pub more: bool,
    /// The stable position: every event up to it was committed when the rows were read, or never will be. An event that is read
    /// behind it later cannot have passed an earlier event of its key. It is determined before the rows; an older value is also
    /// valid. 0 means unknown, and then every read begins at the beginning. It decreases if positions may have been assigned
    /// twice: when another server answers, or the same one after a restart or a crash.
    pub stable: i64,
    /// The name of the server and its start; it changes after a failover, a restart or a crash. Positions known under one name
    /// are not valid under another. The relay therefore publishes nothing of the first page under a new name, and the next read
    /// begins at the beginning. Empty if positions are never assigned twice.
    pub server: String,
}

/// An event that no waiting cures.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The lease of its shard.
    pub lease: ShardLease,
    /// The identity of the event.
    pub entry: PendingId,
    /// The broker's error, or the reason why the event cannot be read; `None` for an event that was found
    /// [`held`](Pending::held).
    pub error: Option<Error>,
}

/// The relay's interface to an outbox.
///
/// Events are found by their pending state, never by a cursor: a transaction that commits late is only found later. Each call
/// is a separate statement; none leaves a transaction open.
pub trait OutboxReader: Send + Sync {
    /// Reports the relay `name` as active for another `lease` of database time, and renews its shards. It also takes free and
    /// expired shards up to its fair share among the active relays. Returns all shards of the relay afterwards.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry. [`ErrorKind::Schema`](crate::ErrorKind::Schema) if the outbox
    /// is not set up for a relay: run `messagekit migrate --relay`.
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>>;

    /// Gives shards up, so that another relay gets them at once. An empty list means that the relay leaves.
    ///
    /// # Errors
    /// A transient error if the database does not answer; the shards are free when their lease ends.
    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>>;

    /// Returns at most `limit` events and no more than some MiB, keys and headers included, but at least one. It reads the
    /// shards in the requested order, each with its first events behind the requested position, oldest first. It leaves out the
    /// positions in `except`, events of the topics in `paused`, and delayed events. Unreadable events are included
    /// ([`Pending::unreadable`]) and do not prevent others from being found.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [ShardRead],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>>;

    /// Deletes events that the broker has confirmed. It needs no lease, because a published event is published whichever relay
    /// reports it. Another event at the same position remains.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry. Events that are not deleted are published again, under the
    /// same ids.
    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>>;

    /// Sets a rejected event aside together with all later events of its topic and key, in order, in one transaction; an event
    /// without a key is set aside alone. Returns the number of events set aside. It returns 0 and changes nothing in three
    /// cases: the shard has another epoch, another event is at the position, or a held event has no earlier one any more.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>>;

    /// Releases delayed events that are due by database time, and returns the time until the next one is due; `None` if none is
    /// delayed.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>>;

    /// Completes when this process has committed events since the last completion. It is a hint: events of other processes are
    /// found by polling.
    fn woken(&self) -> BoxFuture<'_, ()>;
}
