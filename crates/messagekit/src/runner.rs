//! Runs the loops of a process under one shutdown.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;

use crate::store::BoxFuture;
use crate::{Error, ErrorKind, Shutdown, chain};

type Ended = Result<(), Box<dyn StdError + Send + Sync>>;

/// How long a part may take to stop. It is longer than a consumer needs, which gives its batches 30 s, cancels their handlers
/// in 5 s, and leaves its group in up to 16 s.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the end of an aborted part is waited for: only a blocked thread takes longer.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// The consumers, relays and servers of a process. They run side by side, and stop one after another.
///
/// The parts stop in the reverse order in which they were added: each gets a [`Shutdown`] of its own, which is requested when the
/// parts behind it have ended. A server of health and metrics is therefore added first, and a server whose requests write events
/// last. When a part ends with an error or a panic, the others are stopped in the same order, and its error is that of the whole
/// process. A part that ends without an error ends no other.
///
/// A part has 60 s to stop, or the limit that [`part_with_stop_limit`](Self::part_with_stop_limit) gives it. Then it is aborted,
/// and the parts before it are stopped. No loop of this library needs so long by itself: a consumer takes at most 35 s and the
/// time of leaving its group, and a relay and a bridge stop within their `drain` and a few seconds. Set a limit for a longer
/// drain.
///
/// ```
/// # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
/// # use messagekit::{Consumer, Envelope, Event, HandlerError, Runner, Shutdown};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
/// # async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> { Ok(()) }
/// # async fn serve_health(shutdown: Shutdown) -> std::io::Result<()> { shutdown.await; Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let log = MemoryLog::new(1);
/// # let shutdown = Shutdown::new();
/// # shutdown.request();
/// let consumer = Consumer::builder("billing", MemoryStore::with_log(&log)).from(log).on(bill).build()?;
/// Runner::new()
///     .part("health", serve_health)
///     .part("billing", |shutdown| consumer.run(shutdown))
///     .run(shutdown) // in a program: Shutdown::on_signal()?
///     .await
/// # }).unwrap();
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Default)]
#[must_use = "nothing runs before run()"]
pub struct Runner {
    parts: Vec<Part>,
}

struct Part {
    name: Arc<str>,
    stop_limit: Duration,
    start: Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Ended> + Send>,
}

impl Runner {
    /// Creates a runner without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part. `start` is called when the runner runs; its future ends within 60 s after the given shutdown is requested.
    /// The name is for errors and logs.
    pub fn part<Run, E>(
        self,
        name: impl Into<Arc<str>>,
        start: impl FnOnce(Shutdown) -> Run + Send + 'static,
    ) -> Self
    where
        Run: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.part_with_stop_limit(name, STOP_LIMIT, start)
    }

    /// As [`part`](Self::part), for a future that ends within `stop_limit` after its shutdown; [`Duration::MAX`] waits for ever.
    pub fn part_with_stop_limit<Run, E>(
        mut self,
        name: impl Into<Arc<str>>,
        stop_limit: Duration,
        start: impl FnOnce(Shutdown) -> Run + Send + 'static,
    ) -> Self
    where
        Run: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let start = move |shutdown| -> BoxFuture<'static, Ended> {
            let run = start(shutdown);
            Box::pin(async move { run.await.map_err(Into::into) })
        };
        self.parts.push(Part { name: name.into(), stop_limit, start: Box::new(start) });
        self
    }

    /// Runs all parts until `shutdown` completes or one of them fails, stops them in order, and returns when all have ended or
    /// are aborted.
    ///
    /// # Errors
    /// The first error of a part, with the kind that it has; [`ErrorKind::Other`] for a panic, for an error of another library,
    /// and for a part that did not stop within its limit. Errors of other parts are logged. Whether a retry is useful depends
    /// on the part.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future aborts all parts, like a drop of each.
    ///
    /// An aborted part ends at its next `.await`. One that blocks its thread instead, as `std::thread::sleep` does, cannot be
    /// ended. `run` then returns without it, if the runtime has another thread; a runtime of one thread stands still. At its own
    /// end, the runtime waits for the thread: leave such a program with `std::process::exit` or `Runtime::shutdown_timeout`.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let mut running = Running::start(self.parts);
        let mut shutdown = std::pin::pin!(shutdown.into_future());
        while running.failure.is_none() {
            tokio::select! {
                biased;
                () = shutdown.as_mut() => break,
                has_ended = running.next() => if !has_ended { return Ok(()) },
            }
        }
        for index in (0..running.parts.len()).rev() {
            running.stop(index).await;
        }
        running.failure.map_or(Ok(()), Err)
    }
}

/// A part that was started.
struct Started {
    name: Arc<str>,
    stop_limit: Duration,
    shutdown: Shutdown,
    task: AbortHandle,
}

struct Running {
    parts: Vec<Started>,
    tasks: JoinSet<Ended>,
    /// The parts that have not ended yet.
    indices: HashMap<Id, usize>,
    /// The first error.
    failure: Option<Error>,
}

impl Running {
    fn start(parts: Vec<Part>) -> Self {
        let (mut tasks, mut indices) = (JoinSet::new(), HashMap::new());
        let started = parts.into_iter().enumerate().map(|(index, Part { name, stop_limit, start })| {
            let shutdown = Shutdown::new();
            let given = shutdown.clone();
            // Called inside the task: a panic in it is one of the part.
            let task = tasks.spawn(async move { start(given).await });
            indices.insert(task.id(), index);
            Started { name, stop_limit, shutdown, task }
        });
        Self { parts: started.collect(), tasks, indices, failure: None }
    }

    /// Requests the end of a part, waits for it, and aborts the part at its limit.
    async fn stop(&mut self, index: usize) {
        let Started { name, stop_limit, shutdown, task } = &self.parts[index];
        let (name, stop_limit, task) = (Arc::clone(name), *stop_limit, task.clone());
        shutdown.request();
        if timeout(stop_limit, self.ended(index)).await.is_ok() {
            return;
        }
        task.abort();
        let text = match timeout(ABORT_LIMIT, self.ended(index)).await {
            Ok(()) => "part did not stop within its limit, and was aborted",
            Err(_) => "part did not stop within its limit, and blocks its thread: end the process",
        };
        let error = Error::new(ErrorKind::Other, text)
            .with("part", name)
            .with("limit", format_args!("{stop_limit:?}"));
        tracing::error!(error = %chain(&error), "part ignores its shutdown");
        self.failure.get_or_insert(error);
    }

    /// Waits for the end of one part, and notes those of others.
    async fn ended(&mut self, index: usize) {
        while self.indices.values().any(|running| *running == index) && self.next().await {}
    }

    /// Waits for the end of any part, and notes it; returns false if all have ended.
    async fn next(&mut self) -> bool {
        let Some(ended) = self.tasks.join_next_with_id().await else { return false };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(index) = self.indices.remove(&id) else { return true };
        let name = &self.parts[index].name;
        let error = match ended {
            Ok((_, Ok(()))) => {
                tracing::info!(part = &**name, "part ended");
                return true;
            }
            // `stop` reports it.
            Err(error) if error.is_cancelled() => return true,
            Ok((_, Err(error))) => failed(error).with("part", name),
            Err(error) => Error::new(ErrorKind::Other, "part panicked").with("part", name).caused_by(error),
        };
        match self.failure {
            // Seen at once: the other parts may take their time to stop.
            None => tracing::error!(error = %chain(&error), "part failed, the others are stopped"),
            Some(_) => tracing::error!(error = %chain(&error), "part failed after another one"),
        }
        self.failure.get_or_insert(error);
        true
    }
}

/// Keeps the kind of an error of this crate.
fn failed(error: Box<dyn StdError + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(ErrorKind::Other, "part failed").caused_by(error),
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| &part.name)).finish()
    }
}
