//! A consumer that handles the past of its topics in the order of time before it runs.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, select};
use jiff::Timestamp;

use super::frontiers::Frontiers;
use super::progress::PrimingProgress;
use super::replay_source::{OnProgress, ReplaySource};
use crate::consumer::bind::patiently;
use crate::consumer::consumer::Consumer;
use crate::consumer::run::{Until, or_shutdown, run};
use crate::consumer::settings::Settings;
use crate::consumer::stats::Ending;
use crate::gate::Gates;
use crate::log::{OrderedReader, OrderedReaderBuilder, PartitionState};
use crate::store::{Inbox, NextOffset, Priming, Store};
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
enum Primed {
    Live,
    Stopped,
}

impl<S: Inbox, Src: Source> PrimedConsumer<S, Src> {
    /// Primes the consumer although it has handled records of these topics, or was primed before. Records whose marker is still kept are not
    /// handled again. A program that forces at every start primes at every start.
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
    /// another name. [`ErrorKind::InvalidConfiguration`] for a store without a database. Those of [`OrderedReaderBuilder::open`] and of
    /// [`Consumer::run`]. An outage is no error: the priming waits.
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
        let ending = Ending::of(&consumer.settings.stats);
        let primed = prime(&consumer.settings, reader, is_forced, on_progress, shutdown.clone()).await;
        let outcome = match primed {
            Ok(Primed::Live) => consumer.run(shutdown).await,
            Ok(Primed::Stopped) => Ok(()),
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
) -> Result<Primed, Error> {
    let opening = or_shutdown(open(settings, &builder, is_forced), Pin::new(&mut shutdown));
    let reader = match opening.await.transpose()? {
        None => return Ok(Primed::Stopped),
        Some(None) => return Ok(Primed::Live),
        Some(Some(reader)) => reader,
    };
    crash::point("priming.begun");
    let (frontiers, is_live) = (Frontiers::default(), Shutdown::new());
    let partitions = reader.partition_state();
    let source = ReplaySource { reader, frontiers: frontiers.clone(), is_live: is_live.clone(), on_progress };
    let replay = settings.for_priming(frontiers);
    let ended = select(shutdown.clone(), is_live.clone().into_future().boxed());
    run(Arc::new(replay), source, Gates::default(), Until::Shutdown, ended.map(|_| ())).await?;
    if !is_live.is_requested() {
        return Ok(Primed::Stopped);
    }
    crash::point("priming.live");
    let finishing = or_shutdown(finish(settings, &partitions), Pin::new(&mut shutdown));
    if finishing.await.transpose()?.is_none() {
        return Ok(Primed::Stopped);
    }
    crash::point("priming.finished");
    tracing::info!(consumer = &*settings.name, "primed: goes on with what is new");
    Ok(Primed::Live)
}

/// Opens the reader where the priming begins, or where an earlier run has come to; `None` if it is finished. Waits for a database and a
/// log that do not answer.
async fn open<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    is_forced: bool,
) -> Result<Option<OrderedReader>, Error> {
    match known(settings).await? {
        Some(Priming { is_finished: false, frontier }) => resume(settings, builder, frontier).await.map(Some),
        Some(Priming { is_finished: true, .. }) if !is_forced => {
            warn_of_new_topics(settings, builder).await?;
            Ok(None)
        }
        _ => begin(settings, builder, is_forced).await,
    }
}

async fn known<S: Inbox>(settings: &Settings<S>) -> Result<Option<Priming>, Error> {
    patiently(&settings.name, || settings.store.priming(&settings.name)).await
}

/// Opens the reader and notes where it begins, so that a run after a crash begins there, too, also if the start is a time that moves. Leaves
/// the priming to another process that has begun it meanwhile.
async fn begin<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    is_forced: bool,
) -> Result<Option<OrderedReader>, Error> {
    let refused = if is_forced { None } else { progress(settings, builder).await? };
    let reader = patiently(&settings.name, || builder.clone().open()).await?;
    match known(settings).await?.filter(|_| !is_forced) {
        Some(Priming { is_finished: true, .. }) => return Ok(None),
        Some(Priming { frontier, .. }) => return resume(settings, builder, frontier).await.map(Some),
        None => {}
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let starts = starts(&reader.partition_state());
    write(settings, &starts, Priming::default()).await?;
    Ok(Some(reader))
}

/// Opens the reader where an earlier run has come to.
///
/// Positions never go back, so those of a consumer that was primed by force may lie behind records that are still to come: reading begins at
/// the time that was reached, if that is earlier. What was handled there is known by its markers.
async fn resume<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    frontier: Option<Timestamp>,
) -> Result<OrderedReader, Error> {
    let (consumer, mut remembered) = (&settings.name, Vec::new());
    for (topic, log) in builder.topics() {
        let own = patiently(consumer, || settings.store.next_of(consumer, topic)).await?;
        let reached = match frontier {
            Some(frontier) => patiently(consumer, || log.offsets_at(topic, frontier)).await?,
            None => Vec::new(),
        };
        remembered.extend(own.into_iter().map(|mut position| {
            let reached = reached.iter().find(|(partition, _)| *partition == position.partition);
            position.next = reached.map_or(position.next, |(_, offset)| position.next.min(*offset));
            position
        }));
    }
    tracing::info!(consumer = &**consumer, ?frontier, "priming resumes");
    let reader =
        patiently(consumer, || builder.clone().resume_at(remembered.clone(), frontier).open()).await?;
    // A topic that was added since begins where it begins now, also after another crash.
    let starts = starts(&reader.partition_state());
    write(settings, &starts, Priming { frontier, is_finished: false }).await?;
    Ok(reader)
}

/// Returns why a consumer is refused: it has positions in the reader's topics, in its database or at a broker.
async fn progress<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
) -> Result<Option<Error>, Error> {
    let consumer = &settings.name;
    for (topic, log) in builder.topics() {
        let own = patiently(consumer, || settings.store.next_of(consumer, topic)).await?;
        let has_progress = !own.is_empty()
            || !patiently(consumer, || log.committed_offsets(topic, consumer)).await?.is_empty();
        if has_progress {
            let text = "consumer has handled records of this topic already: force the priming, or give the consumer another name";
            let error = Error::new(ErrorKind::Conflict, text).with("consumer", consumer).with("topic", topic);
            return Ok(Some(error));
        }
    }
    Ok(None)
}

/// Says which topics of the reader came too late: a priming that is finished is not begun again for them.
async fn warn_of_new_topics<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
) -> Result<(), Error> {
    let consumer = &settings.name;
    for (topic, _) in builder.topics() {
        if patiently(consumer, || settings.store.next_of(consumer, topic)).await?.is_empty() {
            tracing::warn!(consumer = &**consumer, %topic, "topic was added after the priming: its past is not primed");
        }
    }
    Ok(())
}

/// Notes that all of the past is handled. Partitions without a record in it go on where the reader began.
async fn finish<S: Inbox>(settings: &Settings<S>, partitions: &[PartitionState]) -> Result<(), Error> {
    // The frontier that was reached stays.
    write(settings, &starts(partitions), Priming { frontier: None, is_finished: true }).await
}

async fn write<S: Inbox>(
    settings: &Settings<S>,
    positions: &[NextOffset],
    priming: Priming,
) -> Result<(), Error> {
    let (store, consumer) = (&settings.store, &settings.name);
    patiently(consumer, || async {
        let mut tx = store.begin().await?;
        store.write_priming(&mut tx, consumer, priming).await?;
        store.advance(&mut tx, consumer, positions).await?;
        store.commit(tx).await
    })
    .await
}

/// Returns where the reader began in each partition.
fn starts(partitions: &[PartitionState]) -> Vec<NextOffset> {
    let position = |partition: &PartitionState| NextOffset {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
        key_lane: 0,
        next: partition.replay_start_offset,
    };
    partitions.iter().map(position).collect()
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
