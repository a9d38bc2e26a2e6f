//! A consumer that handles the past of its topics in the order of time before it runs.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, select};

use super::frontiers::Frontiers;
use super::opening::{finish, open};
use super::progress::PrimingProgress;
use super::replay_source::{OnProgress, ReplaySource};
use crate::consumer::consumer::Consumer;
use crate::consumer::run::{Until, or_shutdown, run};
use crate::consumer::settings::Settings;
use crate::consumer::stats::Ending;
use crate::gate::Gates;
use crate::log::OrderedReaderBuilder;
use crate::store::{Inbox, Store, has, no_primings};
use crate::transport::Source;
use crate::{Error, ErrorKind, Shutdown, crash};

impl<S: Inbox, Src: Source> Consumer<S, Src> {
    /// Primes the consumer from a reader: its handlers get all of the past of the reader's topics in the order of time, and then the
    /// consumer goes on with its own source, without a gap and without a repeat.
    ///
    /// Each batch commits effects, markers, positions and the time that was reached together. A priming whose process was killed resumes
    /// there, and one that is finished is not begun again: a service calls this at every start. Old messages are handled, whatever
    /// the [dedup window](crate::ConsumerBuilder::dedup_window) is; what fails becomes a failed message, as always. Gates do
    /// not hold a priming back. The position in the database decides where the consumer goes on, not an older one of its group at a broker.
    ///
    /// Reader and source name the same topics: a topic that is not in the reader begins as that of a consumer that was never primed.
    pub fn prime(self, reader: OrderedReaderBuilder) -> PrimedConsumer<S, Src> {
        PrimedConsumer { consumer: self, reader, is_forced: false, on_progress: None }
    }
}

/// A consumer that is primed when it runs; see [`Consumer::prime`].
#[must_use = "a consumer does nothing until it is run"]
pub struct PrimedConsumer<S: Store, Src> {
    consumer: Consumer<S, Src>,
    reader: OrderedReaderBuilder,
    is_forced: bool,
    on_progress: Option<OnProgress>,
}

/// How a run of the past has ended.
enum PrimingEnd {
    Live,
    Stopped,
}

impl<S: Inbox, Src: Source> PrimedConsumer<S, Src> {
    /// Primes the consumer although it has handled records of these topics, or was primed before. Records whose marker is still kept are not
    /// handled again. A priming that is not finished resumes. A program that forces at every start primes at every start; of processes that
    /// start together, each joins the priming that one of them has begun.
    pub fn force(mut self) -> Self {
        self.is_forced = true;
        self
    }

    /// Calls a function with the progress after each batch. [`PrimingProgress`] prints as a line with a bar, the rate and the time left.
    pub fn on_progress(mut self, show: impl FnMut(&PrimingProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(show));
        self
    }

    /// Primes the consumer and then runs it, until `shutdown` completes.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the consumer has progress in these topics that is not of a priming: [force](Self::force) it, or choose
    /// another name. [`ErrorKind::InvalidConfiguration`] for a store that keeps no primings. Also the errors of
    /// [`OrderedReaderBuilder::open`] and of [`Consumer::run`]. An outage is no error: the priming waits.
    ///
    /// # Cancel safety
    /// As [`Consumer::run`]. What was not committed is handled by the next run.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let shutdown = shutdown.into_future().boxed().shared();
        let Self { mut consumer, reader, is_forced, on_progress } = self;
        let source = consumer.source.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !source.capabilities().positions {
            let text = "source has no positions, so it cannot go on where a priming ends: use a log, such as kafka or a file";
            let error = Error::new(ErrorKind::InvalidConfiguration, text);
            return Err(error.with("consumer", &consumer.settings.name));
        }
        if !has::<S, S::Primings>() {
            return Err(no_primings(&consumer.settings.name));
        }
        let ending = Ending::of(&consumer.settings.stats);
        let primed = prime(&consumer.settings, reader, is_forced, on_progress, shutdown.clone()).await;
        let outcome = match primed {
            Ok(PrimingEnd::Live) => consumer.run(shutdown).await,
            Ok(PrimingEnd::Stopped) => Ok(()),
            Err(error) => Err(error),
        };
        ending.with(&outcome);
        outcome
    }
}

/// Brings a consumer to the end of the past, unless it is there.
async fn prime<S: Inbox>(
    settings: &Settings<S>,
    builder: OrderedReaderBuilder,
    is_forced: bool,
    on_progress: Option<OnProgress>,
    mut shutdown: Shared<BoxFuture<'_, ()>>,
) -> Result<PrimingEnd, Error> {
    let opening = or_shutdown(open(settings, &builder, is_forced), Pin::new(&mut shutdown));
    let (reader, priming) = match opening.await.transpose()? {
        None => return Ok(PrimingEnd::Stopped),
        Some(None) => return Ok(PrimingEnd::Live),
        Some(Some(opened)) => opened,
    };
    crash::point("priming.begun");
    let (frontiers, is_live) = (Frontiers::of(priming), Shutdown::new());
    let partitions = reader.partition_state();
    let source = ReplaySource { reader, frontiers: frontiers.clone(), is_live: is_live.clone(), on_progress };
    let replay = settings.for_priming(frontiers);
    let ended = select(shutdown.clone(), is_live.clone().into_future().boxed());
    run(Arc::new(replay), source, Gates::default(), Until::Shutdown, ended.map(|_| ())).await?;
    if !is_live.is_requested() {
        return Ok(PrimingEnd::Stopped);
    }
    crash::point("priming.live");
    let finishing = or_shutdown(finish(settings, priming, &partitions), Pin::new(&mut shutdown));
    if finishing.await.transpose()?.is_none() {
        return Ok(PrimingEnd::Stopped);
    }
    crash::point("priming.finished");
    tracing::info!(consumer = &*settings.name, "primed: goes on with what is new");
    Ok(PrimingEnd::Live)
}

impl<S: Store, Src> fmt::Debug for PrimedConsumer<S, Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrimedConsumer")
            .field("consumer", &self.consumer)
            .field("reader", &self.reader)
            .field("is_forced", &self.is_forced)
            .finish_non_exhaustive()
    }
}
