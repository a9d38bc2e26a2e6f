//! What the relay needs of a database with an outbox.

use std::sync::Arc;
use std::time::Duration;

use crate::store::BoxFuture;
use crate::{Error, Message, MessageId, headers};

/// How many shards an outbox has. A key's events lie in one shard, whatever their topic.
pub const SHARDS: u16 = 64;

/// The right of a relay to publish one shard of an outbox.
///
/// The epoch grows whenever somebody else takes the shard and whenever events were put back into it: what is asked under an
/// older epoch answers nothing and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardLease {
    /// The shard, below [`SHARDS`].
    pub shard: u16,
    /// Fences whoever had it before.
    pub epoch: i64,
}

/// What a relay may publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// Every shard that is this relay's until the lease ends, by number.
    pub held: Vec<ShardLease>,
    /// How many of them are above its fair share: to be handed over when nothing of them is in flight.
    pub surplus: usize,
}

/// What is wanted of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRead {
    /// The shard and the right to it.
    pub lease: ShardLease,
    /// Only events behind this place; `i64::MIN` for all of them.
    pub above: i64,
}

/// An event that waits to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its shard.
    pub shard: u16,
    /// Its place: events of one key go out in the order of their places. Nobody reads onwards from a place alone, because an
    /// earlier one may be committed later.
    pub seq: i64,
    /// Tells it from others of its id: the number of the copy, or what else the outbox counts by.
    pub copy: i64,
    /// An earlier event of its topic and key was rejected, or is unreadable in the same answer: it must be set aside behind that
    /// one, not published.
    pub held: bool,
    /// Why the event cannot be read, with what to do about it: it must be set aside. The message then has topic and id, and what
    /// else could be read.
    pub unreadable: Option<String>,
    /// The message, as it goes out.
    pub message: Message,
}

impl Pending {
    /// Returns what names it towards the outbox.
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

/// An event in the list of what is pending.
///
/// Its place alone would not do: a database that came back from a backup, or from a failover that lost commits, gives places a
/// second time, and what was meant for one event would reach another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingId {
    /// Its shard.
    pub shard: u16,
    /// Its place.
    pub seq: i64,
    /// Its topic.
    pub topic: Arc<str>,
    /// As in [`Pending`].
    pub copy: i64,
    /// Its id; empty for a message that has none.
    pub event_id: MessageId,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The events: of each shard the first ones above the wanted place, in order.
    pub rows: Vec<Pending>,
    /// Shards that are not this relay's under the wanted epoch: ask for the leases again before anything else.
    pub lost: Vec<u16>,
    /// There may be more than the limit allowed: the shard of the last row is cut, those behind it were not looked at.
    pub more: bool,
    /// Every event up to this place was committed when the rows were looked for, or never will be: nothing that is read behind
    /// it later can have passed an event of its key. Determined before the rows are; an older value is as true. 0, where nothing
    /// is known, makes every read begin at the beginning. It goes back where places may have been given a second time: when
    /// another server answers, or the same one after a restart or a crash.
    pub stable: i64,
    /// Names the server that answered, and its start: after a failover, a restart or a crash it is another name. What was known
    /// of places under one name is not true under another, so nothing of the first page under a new name is published; the next
    /// read begins at the beginning. Empty where places are never given a second time.
    pub server: String,
}

/// An event that no waiting cures.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The right to its shard.
    pub lease: ShardLease,
    /// Which one it is.
    pub entry: PendingId,
    /// What the broker said, or why the event cannot be read; `None` for one that was found [`held`](Pending::held).
    pub error: Option<Error>,
}

/// The relay's side of an outbox.
///
/// Everything that is pending is found by being pending, never by a cursor: a transaction that commits late is only found
/// later. Calls are statements of their own; none leaves a transaction open.
pub trait OutboxReader: Send + Sync {
    /// Says that the relay `name` lives for another `lease` of database time, renews its shards, takes free and expired ones up
    /// to its fair share among the relays that live, and answers what it has then.
    ///
    /// # Errors
    /// Transient if the database does not answer; [`ErrorKind::Schema`](crate::ErrorKind::Schema) when the outbox is not made
    /// for a relay: run `messagekit migrate --relay`.
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>>;

    /// Gives shards up, so that another relay has them at once. Without shards: leaves for good.
    ///
    /// # Errors
    /// Transient if the database does not answer; the shards are free when their lease ends.
    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>>;

    /// Finds at most `limit` events, and no more than some MiB of them, keys and headers included, but at least one: shards in
    /// the order in which they are wanted, each with its first events behind the wanted place, oldest first. Left out are the
    /// places in `except`, events of the topics in `paused`, and those that are delayed. An event that cannot be read is one of
    /// them ([`Pending::unreadable`]), and keeps no other from being found.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [ShardRead],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>>;

    /// Notes that the broker has taken these events. What has left has left, whoever says so: it asks for no lease. Another
    /// event that stands at the same place stays.
    ///
    /// # Errors
    /// Transient if the database does not answer: they are published again, under the same ids.
    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>>;

    /// Sets rejected events aside, each with everything of its topic and key that is behind it, in order, in one transaction;
    /// one without a key alone. Returns how many were set aside: 0 when the shard has another epoch, when another event stands
    /// there, or when a held event has nothing before it any more, and then nothing has changed.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>>;

    /// Makes delayed events ready that are due by database time, and answers how long it is until the next one is; `None`
    /// when none is delayed.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>>;

    /// Completes when something of this process has committed events since it last completed. A hint: what another process
    /// commits is found by looking.
    fn woken(&self) -> BoxFuture<'_, ()>;
}
