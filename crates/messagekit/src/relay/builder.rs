//! Building a relay.

use std::fmt;
use std::future::IntoFuture;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use super::settings::{BATCH, CALLS, DRAIN, LEASE, POLL, Settings};
use super::{LONGEST_LEASE, OutboxReader, Stats, run};
use crate::gate::{Gate, Gates};
use crate::names::check_name;
use crate::transport::{Publisher, RoutingKey};
use crate::{Error, ErrorKind};

/// A relay: a name, an outbox and a broker.
///
/// Any number of relays may share one outbox, under one name or several: they divide its shards. Each run of a relay counts as
/// a separate relay. See the [module](super) for an example and the guarantees.
#[must_use = "a relay does nothing until it is run"]
pub struct Relay {
    settings: Settings,
    gates: Gates,
}

impl Relay {
    /// Starts building a relay. `name`, usually the name of the service, has 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder(name: impl Into<Arc<str>>) -> RelayBuilder {
        RelayBuilder {
            name: name.into(),
            reader: None,
            publisher: None,
            routing_key: None,
            poll: POLL,
            lease: LEASE,
            batch: BATCH,
            calls: CALLS,
            drain: DRAIN,
            gates: Gates::default(),
        }
    }

    /// Returns the relay's name.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Returns a live view of the relay's statistics.
    pub fn stats(&self) -> Stats {
        self.settings.stats.clone()
    }

    /// Runs until `shutdown` completes, then waits for calls in flight and hands its shards over.
    ///
    /// # Errors
    /// An error that waiting does not cure: the outbox is not set up for a relay ([`ErrorKind::Schema`]), or one of its rows
    /// cannot be read. Before the first lease, any refusal of the database ends the relay, including a wrong password. After
    /// the first lease, the relay waits for such a refusal to pass. It always waits for a database or broker that does not
    /// answer.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Its shards are free when their lease ends at the latest, and events in flight are
    /// published twice.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        run::run(self.settings, self.gates, shutdown.into_future()).await
    }
}

/// Collects the parts of a [`Relay`]; see there.
#[must_use = "call build() to get the relay"]
pub struct RelayBuilder {
    name: Arc<str>,
    reader: Option<Arc<dyn OutboxReader>>,
    publisher: Option<Arc<dyn Publisher>>,
    routing_key: Option<RoutingKey>,
    poll: Duration,
    lease: Duration,
    batch: u32,
    calls: usize,
    drain: Duration,
    gates: Gates,
}

impl RelayBuilder {
    /// Sets the outbox to read.
    pub fn reader(mut self, reader: Arc<dyn OutboxReader>) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Sets the publisher of the events.
    pub fn to(mut self, publisher: Arc<dyn Publisher>) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Publishes under a routing key instead of the topic; `{topic}` in it is the topic. An event without the data that the
    /// template names is set aside, like an event that the broker refuses. Default: the topic.
    pub fn routing_key(mut self, routing_key: RoutingKey) -> Self {
        self.routing_key = Some(routing_key);
        self
    }

    /// Sets how often the relay polls for events without a notification; it polls ten times as often while it finds events.
    /// Default: 50 ms. An event that another process has written may wait that long.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Sets how long a frozen or disconnected relay keeps its shards, 100 ms to 10 min. Default: 4 s. The relay renews its lease
    /// four times per lease. The shards of a crashed relay are free at once on PostgreSQL, and after the lease in a file.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how many events a read requests at most. Default: 2,000. It requests 500, or `events` if that is less, without a
    /// backlog. In a backlog it requests up to twice as many after each full page: not more than 1.25 MiB of events, and not more
    /// than the broker confirms within 250 ms. The outbox may return fewer if they are large.
    pub fn batch(mut self, events: NonZeroU32) -> Self {
        self.batch = events.get();
        self
    }

    /// Sets how many calls to the broker may be in flight before reading stops; a batch is one call per topic. Default: 4.
    /// With two or more in flight, reading also stops at 4 MiB; the page before that may add 8 MiB. Unanswered calls of a paused
    /// topic do not count, because a few such topics would stop the others. Their events stay in memory until the broker answers:
    /// for each such topic, the events read within one second.
    pub fn calls(mut self, calls: NonZeroUsize) -> Self {
        self.calls = calls.get();
        self
    }

    /// Sets how long a shutdown waits for calls in flight. Default: 10 s. Events that are not confirmed then are published
    /// again by the relays that take over their shards. Other relays get the shards sooner if only calls older than a second
    /// are in flight.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Adds a gate behind the others: it admits the events of each read, before it begins. While it is closed, events wait in the outbox,
    /// and none fails.
    ///
    /// A [rate limit](crate::gate::RateLimit) spreads a backlog, so that consumers are not flooded after an outage. An event that is read
    /// again, because the broker did not take it, counts again. What was granted and not read is given back as soon as the read ends;
    /// until then it is gone for those who share the gate. A gate hears of reads and of nothing else: [`calls`](Self::calls) bounds
    /// what is in flight, and the relay itself pauses the topics that the broker does not take.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use messagekit::adapter::Publisher;
    /// # use messagekit::relay::{OutboxReader, Relay};
    /// use messagekit::gate::RateLimit;
    ///
    /// # fn relay(outbox: Arc<dyn OutboxReader>, broker: Arc<dyn Publisher>) -> Result<(), messagekit::Error> {
    /// let relay = Relay::builder("orders").reader(outbox).to(broker).gate(RateLimit::per_second(1_000)).build()?;
    /// # drop(relay);
    /// # Ok(())
    /// # }
    /// ```
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gates.push(gate);
        self
    }

    /// Checks the parts and builds the relay.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with a list of all problems.
    pub fn build(self) -> Result<Relay, Error> {
        let mut problems = Vec::new();
        problems.extend(check_name("relay", &self.name, 200).err().map(|error| error.to_string()));
        if self.reader.is_none() {
            problems.push("no outbox: set one with .reader(outbox)".to_owned());
        }
        if self.publisher.is_none() {
            problems.push("no broker: set one with .to(publisher)".to_owned());
        }
        if self.poll.is_zero() {
            problems.push("poll of 0 would never rest: set 1 ms or more".to_owned());
        }
        if self.lease < Duration::from_millis(100) {
            problems.push(format!("lease of {:?} is below 100 ms", self.lease));
        }
        if self.lease > LONGEST_LEASE {
            problems.push(format!("lease of {:?} is above {LONGEST_LEASE:?}", self.lease));
        }
        let (Some(reader), Some(publisher), true) = (self.reader, self.publisher, problems.is_empty()) else {
            let error = Error::new(ErrorKind::InvalidConfiguration, problems.join("; "));
            return Err(error.with("relay", &self.name));
        };
        let settings = Settings {
            name: self.name,
            reader,
            publisher,
            routing_key: self.routing_key,
            poll: self.poll,
            lease: self.lease,
            batch: self.batch,
            calls: self.calls,
            drain: self.drain,
            stats: Stats::new(self.gates.states()),
        };
        Ok(Relay { settings, gates: self.gates })
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for RelayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
