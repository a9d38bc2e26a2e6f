//! Putting a relay together.

use std::fmt;
use std::future::IntoFuture;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use super::settings::{BATCH, CALLS, DRAIN, LEASE, POLL, Settings};
use super::{OutboxReader, Stats, run};
use crate::bridge::RoutingKey;
use crate::metrics::Metrics;
use crate::transport::Publisher;
use crate::{Error, ErrorKind};

/// A relay: a name, an outbox and a broker.
///
/// Any number of them may run over one outbox, under one name or several: they share its shards, and each run of one counts as
/// another. See the [module](super) for an example and the promises.
#[must_use = "a relay does nothing until it is run"]
pub struct Relay {
    settings: Settings,
}

impl Relay {
    /// Begins a relay; `name`, as a rule the service's, is 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
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
            metrics: None,
        }
    }

    /// Returns a live view of what the relay does.
    pub fn stats(&self) -> Stats {
        self.settings.stats.clone()
    }

    /// Runs until `shutdown` completes, then waits for what is in flight and hands its shards over.
    ///
    /// # Errors
    /// When the outbox answers what no waiting cures: it is not made for a relay ([`ErrorKind::Schema`]), or a row of it cannot
    /// be read. So does whatever it refuses before it has granted the first lease, a wrong password among it; afterwards that is
    /// waited for. A database or broker that does not answer always is.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: its shards are free when their lease ends at the latest, and what was in flight is
    /// published twice.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        run::run(self.settings, shutdown.into_future()).await
    }
}

/// Collects what a [`Relay`] needs; see there.
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
    metrics: Option<Metrics>,
}

impl RelayBuilder {
    /// Says which outbox it reads.
    pub fn reader(mut self, reader: Arc<dyn OutboxReader>) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Says where the events go.
    pub fn to(mut self, publisher: Arc<dyn Publisher>) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Publishes under a routing key in place of the topic; `{topic}` in it is the topic. An event without what the template
    /// names is set aside like one that the broker refuses. Default: the topic.
    pub fn routing_key(mut self, routing_key: RoutingKey) -> Self {
        self.routing_key = Some(routing_key);
        self
    }

    /// Sets how often it looks for events that nobody told it of, ten times as often while it finds some. Default: 50 ms. That
    /// long an event may wait that another process has written.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Sets how long a shard stays with a relay that is frozen or cut off, at least 100 ms. Default: 4 s. It is renewed four
    /// times as often. The shards of one that has died are free at once on PostgreSQL, and after as long in a file.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how many events a read asks for. Default: 500; the outbox may give fewer when they are large.
    pub fn batch(mut self, events: NonZeroU32) -> Self {
        self.batch = events.get();
        self
    }

    /// Sets how many calls to the broker are in flight before nothing more is read; a batch is one for each of its topics.
    /// Default: 4. What a topic has in flight that gets no answer does not count, or a few such topics would stop the others: it
    /// stays in memory beside these calls until it is answered, for each such topic what was read of it in a second.
    pub fn calls(mut self, calls: NonZeroUsize) -> Self {
        self.calls = calls.get();
        self
    }

    /// Sets how long a shutdown waits for what is in flight. Default: 10 s. What is not confirmed then is published again by
    /// whoever gets its shard. Other relays get the shards sooner, when it waits only for calls that are older than a second.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Counts into these figures, under the relay's name.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Checks the parts and puts them together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with everything that is wrong.
    pub fn build(self) -> Result<Relay, Error> {
        let mut problems = Vec::new();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=200).contains(&self.name.len()) || !self.name.bytes().all(legal) {
            problems
                .push(format!("relay name {:?} is not 1 to 200 characters of a-z A-Z 0-9 . _ -", self.name));
        }
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
        let (Some(reader), Some(publisher), true) = (self.reader, self.publisher, problems.is_empty()) else {
            let error = Error::new(ErrorKind::InvalidConfiguration, problems.join("; "));
            return Err(error.with("relay", &self.name));
        };
        // Without a registry they count for nobody.
        let metrics = self.metrics.map_or_else(|| Metrics::new(&Registry::new()), Ok)?.relay(&self.name);
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
            stats: Stats::default(),
            metrics,
        };
        Ok(Relay { settings })
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
