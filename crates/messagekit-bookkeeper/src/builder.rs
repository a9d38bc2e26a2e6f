//! Builds a bookkeeper.

use std::fmt;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use messagekit::adapter::{Bookkeeping, BoxFuture, Inbox, Publisher, Source, check_name};
use messagekit::operations::Origin;
use messagekit::{Consumer, Error, ErrorKind, OnFailure, Router, Shutdown};
use messagekit_prometheus::Metrics;

use super::reading::Reading;
use super::recorder::Recorder;
use super::redelivery::Redeliverer;
use super::stats::BookkeeperStats;

/// Records messages of dead-letter queues and dead-letter topics in the database, and redelivers failed messages.
///
/// Several processes of one name share the work. Each source has its own consumer, `NAME.queues` or `NAME.topics`. This
/// name is its deduplication scope and its group at the broker.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit_bookkeeper::Bookkeeper;
/// use messagekit_memory::{MemoryLog, MemoryStore};
/// use messagekit::{Message, Shutdown, headers};
/// use messagekit::adapter::Publisher;
/// use messagekit::operations::{FailedMessages, FailedMessageFilter};
///
/// let (kafka, store) = (MemoryLog::new(1), MemoryStore::new());
/// let dead = Message::new("bridge.dead", "{}").with_header(headers::ID, "m-1");
/// kafka.publish(&[dead.with_header(headers::DEAD_KIND, "unroutable")]).await;
///
/// let bookkeeper = Bookkeeper::builder("bookkeeper", store.clone())
///     .topics(kafka.topics(["bridge.dead"]), kafka.clone())
///     .build()?;
/// let (stats, shutdown) = (bookkeeper.stats(), Shutdown::new());
/// let running = tokio::spawn(bookkeeper.run(shutdown.clone()));
/// while stats.read().kept < 1 {
///     tokio::task::yield_now().await;
/// }
/// shutdown.request();
/// running.await.unwrap()?;
/// let failed_messages = store.list(&FailedMessageFilter::default(), 10).await?;
/// assert_eq!((failed_messages[0].kind.as_str(), failed_messages[0].message_id.as_str()), ("unroutable", "m-1"));
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[must_use = "a bookkeeper does nothing until it is run"]
pub struct Bookkeeper {
    parts: Vec<Part>,
    stats: BookkeeperStats,
    readings: Vec<Reading>,
}

/// A loop that runs until shutdown.
type Part = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<(), Error>> + Send>;

/// Builds the loops of one source.
type Assemble<S> = Box<dyn FnOnce(&BookkeeperBuilder<S>) -> Result<(Reading, [Part; 2]), Error> + Send>;

impl Bookkeeper {
    /// Starts building a bookkeeper; `name` is 1 to 190 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder<S: Bookkeeping + Inbox>(name: impl Into<Arc<str>>, store: S) -> BookkeeperBuilder<S> {
        BookkeeperBuilder {
            name: name.into(),
            store,
            sources: Vec::new(),
            metrics: None,
            stats: BookkeeperStats::default(),
        }
    }

    /// Checks a name as [`builder`](Self::builder) takes it.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with the name.
    pub fn check_name(name: &str) -> Result<(), Error> {
        check_name("bookkeeper", name, 190)
    }

    /// Returns a live view of the bookkeeper's counts.
    pub fn stats(&self) -> BookkeeperStats {
        self.stats.clone()
    }

    /// Returns a live view of each source, which shows whether it is read.
    pub fn readings(&self) -> Vec<Reading> {
        self.readings.clone()
    }

    /// Runs until `shutdown` completes, then finishes started messages and leaves the groups.
    ///
    /// # Errors
    /// As [`Consumer::run`]. If one source ends with an error, the others are stopped too. An outage is not an error:
    /// the bookkeeper waits.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Unrecorded messages are delivered again. A message whose redelivery is in
    /// flight is sent again under the same id when its lease ends.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let ending = Shutdown::new();
        let mut parts: FuturesUnordered<_> =
            self.parts.into_iter().map(|part| part(ending.clone())).collect();
        let mut shutdown = pin!(shutdown.into_future());
        let mut outcome = Ok(());
        loop {
            tokio::select! {
                () = &mut shutdown, if !ending.is_requested() => ending.request(),
                ended = parts.next() => match ended {
                    Some(ended) => {
                        outcome = outcome.and(ended);
                        ending.request();
                    }
                    None => return outcome,
                },
            }
        }
    }
}

/// Collects the parts of a [`Bookkeeper`].
#[must_use = "call build() to get the bookkeeper"]
pub struct BookkeeperBuilder<S: Bookkeeping + Inbox> {
    name: Arc<str>,
    store: S,
    sources: Vec<(Origin, Assemble<S>)>,
    metrics: Option<Metrics>,
    stats: BookkeeperStats,
}

impl<S: Bookkeeping + Inbox> BookkeeperBuilder<S> {
    /// Adds RabbitMQ dead-letter queues. Failed messages are redelivered through `back`, with the queue as topic: a
    /// publisher to the default exchange.
    pub fn queues(self, queues: impl Source, back: impl Publisher + 'static) -> Self {
        self.source(Origin::Queue, queues, back)
    }

    /// Adds dead-letter topics of bridges, of consumers without a database, and of sink connectors. Failed messages are
    /// redelivered through `back` to the retry topic in their headers.
    pub fn topics(self, topics: impl Source, back: impl Publisher + 'static) -> Self {
        self.source(Origin::Topic, topics, back)
    }

    /// Records metrics by source and kind.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    fn source(mut self, origin: Origin, source: impl Source, back: impl Publisher + 'static) -> Self {
        self.sources.push((
            origin,
            Box::new(move |builder| {
                let (store, stats) = (builder.store.clone(), builder.stats.clone());
                let recorder = Recorder {
                    store: store.clone(),
                    origin,
                    stats: stats.clone(),
                    metrics: builder.metrics.clone(),
                };
                let names = source.topics().into();
                let consumer = Consumer::builder(format!("{}.{origin}s", builder.name), store.clone())
                    .from(source)
                    .router(Router::catch_all(recorder))
                    // The order of dead letters is already lost, so a failure must not block others of its key.
                    .on_failure(OnFailure::DeadLetter)
                    .build()?;
                let reading = Reading { origin, names, stats: consumer.stats() };
                let redeliverer = Redeliverer { store, origin, publisher: Box::new(back), stats };
                let keeping: Part = Box::new(move |ending| Box::pin(consumer.run(ending)));
                let returning: Part = Box::new(move |ending| Box::pin(redeliverer.run(ending)));
                Ok((reading, [keeping, returning]))
            }),
        ));
        self
    }

    /// Validates the parts and builds the bookkeeper.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with every problem: the name, no source, or two sources of one
    /// origin.
    pub fn build(mut self) -> Result<Bookkeeper, Error> {
        let mut problems: Vec<_> =
            Bookkeeper::check_name(&self.name).err().map(|error| error.to_string()).into_iter().collect();
        let sources = std::mem::take(&mut self.sources);
        if sources.is_empty() {
            problems.push("a bookkeeper without queues and topics keeps nothing".to_owned());
        }
        for origin in [Origin::Queue, Origin::Topic] {
            if sources.iter().filter(|(known, _)| *known == origin).count() > 1 {
                problems.push(format!("two sources of {origin}s: name all {origin}s in one"));
            }
        }
        let (mut parts, mut readings) = (Vec::new(), Vec::new());
        for (_, assemble) in sources {
            match assemble(&self) {
                Ok((reading, loops)) => {
                    readings.push(reading);
                    parts.extend(loops);
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
        if problems.is_empty() {
            return Ok(Bookkeeper { parts, stats: self.stats, readings });
        }
        Err(Error::new(ErrorKind::InvalidConfiguration, problems.join("; ")).with("bookkeeper", &self.name))
    }
}

impl fmt::Debug for Bookkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bookkeeper").field("stats", &self.stats.read()).finish_non_exhaustive()
    }
}

impl<S: Bookkeeping + Inbox> fmt::Debug for BookkeeperBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookkeeperBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
