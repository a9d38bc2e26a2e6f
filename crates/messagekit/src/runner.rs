//! Runs the loops of a process under one shutdown.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;

use tokio::task::{Id, JoinError, JoinSet};

use crate::store::BoxFuture;
use crate::{Error, ErrorKind, Shutdown, chain};

type Ended = Result<(), Box<dyn StdError + Send + Sync>>;

/// The consumers, relays and servers of a process. They run side by side, and stop one after another.
///
/// The parts stop in the reverse order in which they were added: each gets a [`Shutdown`] of its own, which is requested when the
/// parts behind it have ended. A server of health and metrics is therefore added first, and a server whose requests write events
/// last. When a part ends with an error or a panic, the others are stopped in the same order, and its error is that of the whole
/// process. A part that ends without an error ends no other.
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
    start: Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Ended> + Send>,
}

impl Runner {
    /// Creates a runner without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part. `start` is called when the runner runs; its future ends some time after the given shutdown is requested. The
    /// name is for errors and logs.
    pub fn part<Run, E>(
        mut self,
        name: impl Into<Arc<str>>,
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
        self.parts.push(Part { name: name.into(), start: Box::new(start) });
        self
    }

    /// Runs all parts until `shutdown` completes or one of them fails, stops them in order, and returns when all have ended.
    ///
    /// # Errors
    /// The first error of a part, with the kind that it has; [`ErrorKind::Other`] for a panic and for an error of another
    /// library. Errors of other parts are logged. Whether a retry is useful depends on the part.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future aborts all parts, like a drop of each.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let mut running = Running::start(self.parts);
        let (mut shutdown, mut failure) = (std::pin::pin!(shutdown.into_future()), None);
        while failure.is_none() {
            tokio::select! {
                biased;
                () = shutdown.as_mut() => break,
                ended = running.next() => match ended {
                    Some(ended) => failure = ended.err(),
                    None => return Ok(()),
                },
            }
        }
        for index in (0..running.shutdowns.len()).rev() {
            running.shutdowns[index].request();
            while running.runs(index)
                && let Some(ended) = running.next().await
            {
                match (ended, &failure) {
                    (Ok(()), _) => {}
                    (Err(error), None) => failure = Some(error),
                    (Err(error), Some(_)) => {
                        tracing::error!(error = %chain(&error), "part failed after another one");
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The parts that have not ended yet.
struct Running {
    tasks: JoinSet<Ended>,
    parts: HashMap<Id, (usize, Arc<str>)>,
    shutdowns: Vec<Shutdown>,
}

impl Running {
    fn start(parts: Vec<Part>) -> Self {
        let mut running = Self { tasks: JoinSet::new(), parts: HashMap::new(), shutdowns: Vec::new() };
        for (index, Part { name, start }) in parts.into_iter().enumerate() {
            let shutdown = Shutdown::new();
            running.shutdowns.push(shutdown.clone());
            // Called inside the task: a panic in it is one of the part.
            let task = running.tasks.spawn(async move { start(shutdown).await });
            running.parts.insert(task.id(), (index, name));
        }
        running
    }

    fn runs(&self, index: usize) -> bool {
        self.parts.values().any(|(running, _)| *running == index)
    }

    /// Waits for the end of any part; `None` if all have ended.
    async fn next(&mut self) -> Option<Result<(), Error>> {
        let ended = self.tasks.join_next_with_id().await?;
        let (_, name) = self.parts.remove(&ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id))?;
        Some(match ended {
            Ok((_, Ok(()))) => {
                tracing::info!(part = &*name, "part ended");
                Ok(())
            }
            Ok((_, Err(error))) => Err(failed(error).with("part", &name)),
            Err(error) => {
                Err(Error::new(ErrorKind::Other, "part panicked").with("part", &name).caused_by(error))
            }
        })
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
