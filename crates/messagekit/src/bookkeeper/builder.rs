//! Putting a bookkeeper together.

use std::fmt;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::reading::Reading;
use super::recorder::Recorder;
use super::redelivery::Redeliverer;
use super::stats::BookkeeperStats;
use crate::metrics::Metrics;
use crate::store::{Bookkeeping, BoxFuture, Inbox};
use crate::transport::{Publisher, Source};
use crate::{Consumer, Error, ErrorKind, OnFailure, Origin, Router, Shutdown};

/// Reads dead-letter queues and dead-letter topics into the database, and sends failed messages back.
///
/// Several processes of one name share the work. Each source is read by a consumer of its own: `NAME.queues` and
/// `NAME.topics` are its scope of deduplication and its group at the broker.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit::bookkeeper::Bookkeeper;
/// use messagekit::memory::{MemoryLog, MemoryStore};
/// use messagekit::{FailedMessages, FailedMessageFilter, Message, Publisher, Shutdown, headers};
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

/// A loop that runs until it is asked to end.
type Part = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<(), Error>> + Send>;

/// Makes the loops of one source.
type Assemble<S> = Box<dyn FnOnce(&BookkeeperBuilder<S>) -> Result<(Reading, [Part; 2]), Error> + Send>;

impl Bookkeeper {
    /// Begins a bookkeeper; `name` is 1 to 190 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder<S: Bookkeeping + Inbox>(name: impl Into<Arc<str>>, store: S) -> BookkeeperBuilder<S> {
        BookkeeperBuilder {
            name: name.into(),
            store,
            sources: Vec::new(),
            metrics: None,
            stats: BookkeeperStats::default(),
        }
    }

    /// Returns a live view of what the bookkeeper does.
    pub fn stats(&self) -> BookkeeperStats {
        self.stats.clone()
    }

    /// Returns a live view of each source: whether it is read.
    pub fn readings(&self) -> Vec<Reading> {
        self.readings.clone()
    }

    /// Runs until `shutdown` completes, then finishes what is in work and leaves.
    ///
    /// # Errors
    /// As [`Consumer::run`]; when one source ends with an error, the others are stopped too. An outage is waited for and is no
    /// error.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was not kept is delivered again, and what was on its way back goes again when its
    /// lease has ended, under the same id.
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

/// Collects what a [`Bookkeeper`] needs; see there.
#[must_use = "call build() to get the bookkeeper"]
pub struct BookkeeperBuilder<S: Bookkeeping + Inbox> {
    name: Arc<str>,
    store: S,
    sources: Vec<(Origin, Assemble<S>)>,
    metrics: Option<Metrics>,
    stats: BookkeeperStats,
}

impl<S: Bookkeeping + Inbox> BookkeeperBuilder<S> {
    /// Reads RabbitMQ dead-letter queues. A failed message goes back through `back`, whose topic is the queue that it is sent to:
    /// a publisher to the default exchange.
    pub fn queues(self, queues: impl Source, back: impl Publisher + 'static) -> Self {
        self.source(Origin::Queue, queues, back)
    }

    /// Reads dead-letter topics: those of bridges and of consumers without a database, and those of sink connectors. A failed
    /// message goes back to the retry topic that its headers name, through `back`.
    pub fn topics(self, topics: impl Source, back: impl Publisher + 'static) -> Self {
        self.source(Origin::Topic, topics, back)
    }

    /// Counts what is kept by source and kind.
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
                    .router(Router::of_all(recorder))
                    // What is kept here has left its order already: one that cannot be kept holds up no other of its key.
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

    /// Checks the parts and puts them together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with everything that is wrong: the name, no source, two sources of one origin.
    pub fn build(mut self) -> Result<Bookkeeper, Error> {
        let mut problems = Vec::new();
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
