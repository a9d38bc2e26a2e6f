//! Statistics of a consumer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::gate::{GateState, GateStates};
use crate::histogram::{Durations, Histogram, HistogramCounts, Sizes};
use crate::store::FailureKind;
use crate::transport::PartitionLag;
use crate::{Error, ErrorKind};

/// Counts of one consumer since it was built. They are statistics for people and dashboards; the tables contain the state of
/// each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Messages whose handler's effects were committed, retries included.
    pub handled: u64,
    /// Messages that had been applied, set aside or discarded before.
    pub duplicates: u64,
    /// Messages of a type without a handler.
    pub ignored: u64,
    /// Messages set aside for a retry.
    pub set_aside: u64,
    /// Messages that became dead.
    pub dead: u64,
    /// Messages parked behind an earlier one of their key.
    pub parked: u64,
    /// Committed transactions.
    pub batches: u64,
    /// Transactions rolled back because of a handler, a conflict or an outage.
    pub rolled_back: u64,
}

impl ConsumerStats {
    /// Adds the counts of another transaction.
    pub(super) fn add(&mut self, done: &Self) {
        self.handled += done.handled;
        self.duplicates += done.duplicates;
        self.ignored += done.ignored;
        self.set_aside += done.set_aside;
        self.dead += done.dead;
        self.parked += done.parked;
        self.batches += done.batches;
        self.rolled_back += done.rolled_back;
    }
}

/// The state of a consumer's connection to its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Number of assigned partitions or queues.
    pub lanes: u64,
    /// Number of those that wait for one message: it cannot be applied, its dependency or its schema is unavailable, or there is no
    /// room to park it.
    pub blocked: u64,
    /// The source's names of the waiting lanes; the names of the key lanes if a partition is divided.
    pub blocked_lanes: Vec<Arc<str>>,
    /// The last error of an outage of the source, unless a message has arrived since and no lane is held, or the source has reported
    /// nothing for 30 s.
    pub trouble: Option<String>,
    /// How the run ended; `None` before and during the run.
    pub ended: Option<String>,
}

/// How long an unrepeated outage counts: clients of brokers report it with each connection attempt.
const LASTS: Duration = Duration::from_secs(30);

/// A live view of a consumer's statistics. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    done: watch::Sender<ConsumerStats>,
    /// Without its trouble, which expires.
    connection: Mutex<Connection>,
    trouble: Mutex<Option<(Instant, String)>>,
    /// A lane is held, which its subscriber may report less often.
    is_held: AtomicBool,
    short_of: Mutex<Vec<String>>,
    lag: Mutex<Vec<PartitionLag>>,
    handler_times: Histogram<Durations>,
    message_sizes: Histogram<Sizes>,
    handlers_in_flight: AtomicU64,
    assignments: AtomicU64,
    /// By kind, in the order of [`FailureKind::ALL`].
    failures: [AtomicU64; FailureKind::ALL.len()],
    gates: GateStates,
}

impl Stats {
    pub(super) fn new(gates: GateStates) -> Self {
        Self(Arc::new(Counters { gates, ..Counters::default() }))
    }

    /// Returns the gate that is closed for the consumer, and for how long; `None` while all gates are open. The consumer polls
    /// its gates when messages wait, and twice a second for failed messages that may be due.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.gates.held_back_by()
    }

    /// Returns the state of each gate, in polling order.
    pub fn gates(&self) -> Vec<GateState> {
        self.0.gates.read()
    }

    /// Returns the durations of handler runs.
    pub fn handler_times(&self) -> HistogramCounts {
        self.0.handler_times.read()
    }

    /// Returns the sizes of the payloads of messages that a handler has finished without an error.
    pub fn message_sizes(&self) -> HistogramCounts {
        self.0.message_sizes.read()
    }

    /// Returns the number of handler runs that have begun and not ended. A run over several messages is one.
    pub fn handlers_in_flight(&self) -> u64 {
        self.0.handlers_in_flight.load(Ordering::Relaxed)
    }

    /// Returns how often a partition or queue was assigned to the consumer, the first time included: it grows with each rebalance
    /// of the group and each reconnection that moves a partition.
    pub fn assignments(&self) -> u64 {
        self.0.assignments.load(Ordering::Relaxed)
    }

    /// Returns how many messages were set aside or became dead and how many retries failed, by the kind of the failure, without the kinds that
    /// did not occur. A pause for an unavailable dependency is no failure.
    pub fn failures(&self) -> Vec<(FailureKind, u64)> {
        let counts = self.0.failures.iter().map(|count| count.load(Ordering::Relaxed));
        FailureKind::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Returns the current counts.
    pub fn read(&self) -> ConsumerStats {
        *self.0.done.borrow()
    }

    /// Waits until `reached` returns true for the counts, and returns them. It is asked at once and after each transaction, never
    /// by a timer.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the consumer ends before. A retry does not help.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future loses nothing.
    ///
    /// ```
    /// # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
    /// # use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// # async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    /// #     tx.add("billed", 1);
    /// #     Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let log = MemoryLog::new(1);
    /// # let store = MemoryStore::with_log(&log);
    /// # let outbox = Outbox::new(store.clone(), "shop")?;
    /// # outbox.transaction(async |tx| Ok(outbox.add(tx, OrderPlaced { order_id: "o-1".into() }).await?)).await?;
    /// let consumer = Consumer::builder("billing", store.clone()).from(log).on(bill).build()?;
    /// let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    /// let running = tokio::spawn(consumer.run(shutdown.clone()));
    /// stats.wait_until(|stats| stats.handled == 1).await?;
    /// assert_eq!(store.get("billed"), 1);
    /// # shutdown.request();
    /// # running.await.unwrap()
    /// # }).unwrap();
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub async fn wait_until(
        &self,
        mut reached: impl FnMut(&ConsumerStats) -> bool,
    ) -> Result<ConsumerStats, Error> {
        let mut done = self.0.done.subscribe();
        loop {
            let (stats, ended) = (*done.borrow_and_update(), self.connection().ended);
            if reached(&stats) {
                return Ok(stats);
            }
            if let Some(how) = ended {
                let text = "consumer ended before its counts were as awaited";
                return Err(Error::new(ErrorKind::Closed, text).with("end", how));
            }
            // `self` owns the sender, so the channel stays open during this wait.
            let _ = done.changed().await;
        }
    }

    /// Returns the state of the connection to the source.
    pub fn connection(&self) -> Connection {
        let lasts = |at: Instant| at.elapsed() < LASTS || self.0.is_held.load(Ordering::Relaxed);
        let trouble = locked(&self.0.trouble).clone().filter(|(at, _)| lasts(*at));
        Connection { trouble: trouble.map(|(_, error)| error), ..locked(&self.0.connection).clone() }
    }

    /// Describes messages older than the dedup window that may be delivered again and would be set aside. Empty if there are
    /// none, and without a window. The consumer checks at its start and once an hour.
    pub fn outside_window(&self) -> Vec<String> {
        locked(&self.0.short_of).clone()
    }

    /// Returns how far the consumer is behind in each partition that this process owns, read every 5 seconds. Empty before the
    /// first answer, while the backend does not answer, after the run, and for backends that cannot tell it.
    pub fn lag(&self) -> Vec<PartitionLag> {
        locked(&self.0.lag).clone()
    }

    /// Replaces the lag.
    pub(super) fn lags(&self, lag: Vec<PartitionLag>) {
        *locked(&self.0.lag) = lag;
    }

    /// Records the descriptions of messages older than the window that may be delivered again.
    pub(super) fn short_of(&self, found: Vec<String>) {
        *locked(&self.0.short_of) = found;
    }

    /// Records the number of assigned lanes and of blocked lanes, with their names.
    pub(super) fn assigned(&self, lanes: usize, blocked: usize, blocked_lanes: Vec<Arc<str>>) {
        let mut connection = locked(&self.0.connection);
        (connection.lanes, connection.blocked) = (lanes as u64, blocked as u64);
        connection.blocked_lanes = blocked_lanes;
    }

    /// Records whether the subscriber holds a lane.
    pub(super) fn held(&self, is_held: bool) {
        self.0.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Records an outage of the source, or its end with `None`.
    pub(super) fn trouble(&self, error: Option<&Error>) {
        let trouble = error.map(|error| (Instant::now(), error.to_string()));
        *locked(&self.0.trouble) = trouble;
    }

    /// Records how the run ended. The consumer then has no lanes.
    fn end(&self, how: String) {
        self.lags(Vec::new());
        self.held(false);
        *locked(&self.0.connection) = Connection { ended: Some(how), ..Connection::default() };
        // Wake who waits for counts that will not come.
        self.0.done.send_modify(|_| {});
    }

    /// Counts a recorded failure.
    pub(super) fn failed(&self, kind: FailureKind) {
        let mut counts = FailureKind::ALL.into_iter().zip(&self.0.failures);
        if let Some((_, count)) = counts.find(|(known, _)| *known == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an assigned partition or queue.
    pub(super) fn assignment(&self) {
        self.0.assignments.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a run of a handler until the answer is dropped.
    pub(super) fn begins(&self) -> InFlight {
        self.0.handlers_in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Records the size of a handled message's payload.
    pub(super) fn sized(&self, bytes: usize) {
        self.0.message_sizes.add(bytes);
    }

    /// Records the time of one run of a handler.
    pub(super) fn took(&self, time: Duration) {
        self.0.handler_times.add(time);
    }

    /// Adds the counts of a transaction.
    pub(super) fn add(&self, done: &ConsumerStats) {
        self.0.done.send_modify(|counts| counts.add(done));
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run of a handler, including one that is dropped.
pub(super) struct InFlight(Stats);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.handlers_in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Records the end of a run, including a dropped one.
pub(super) struct Ending(Option<Stats>);

impl Ending {
    pub(super) fn of(stats: &Stats) -> Self {
        Self(Some(stats.clone()))
    }

    pub(super) fn with(mut self, outcome: &Result<(), Error>) {
        if let Some(stats) = self.0.take() {
            // Without its causes, which are texts of databases and brokers: the statistics are widely readable.
            stats.end(outcome.as_ref().err().map_or_else(|| "stopped".to_owned(), Error::to_string));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(stats) = self.0.take() {
            stats.end("dropped, or a panic".to_owned());
        }
    }
}
