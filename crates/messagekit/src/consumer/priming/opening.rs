//! Where the reader of a priming begins, what the database keeps of it, and the end.

use std::sync::Arc;

use crate::consumer::bind::{live_next_of, retry_during_outage};
use crate::consumer::settings::Settings;
use crate::log::{OrderedReader, OrderedReaderBuilder, PartitionState};
use crate::store::{Inbox, NextOffset, Priming, Primings};
use crate::{Error, ErrorKind};

/// Opens the reader where the priming begins, or where an earlier run has come to; `None` if it is finished. Waits for a database and a
/// log that do not answer.
pub(super) async fn open<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    is_forced: bool,
) -> Result<Option<(OrderedReader, Priming)>, Error> {
    let first = known(settings).await?;
    let mut last = first;
    loop {
        match last {
            Some(priming) if !priming.is_finished => {
                let reader = resume(settings, builder, priming).await?;
                return Ok(Some((reader, priming)));
            }
            // Force counts once: another process may have primed the consumer since the first look.
            Some(_) if !is_forced || number_of(last) != number_of(first) => {
                warn_of_new_topics(settings, builder).await?;
                return Ok(None);
            }
            _ => {}
        }
        if let Some(begun) = begin(settings, builder, number_of(last), is_forced).await? {
            return Ok(Some(begun));
        }
        last = known(settings).await?;
    }
}

async fn known<S: Inbox>(settings: &Settings<S>) -> Result<Option<Priming>, Error> {
    retry_during_outage(&settings.name, || settings.store.primings().priming(&settings.name)).await
}

fn number_of(known: Option<Priming>) -> u32 {
    known.map_or(0, |priming| priming.number)
}

/// Opens the reader and stores where it begins, so that a run after a crash begins there, too, also if the start is a time that moves.
/// Returns `None` if another process has begun a priming meanwhile.
async fn begin<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    after: u32,
    is_forced: bool,
) -> Result<Option<(OrderedReader, Priming)>, Error> {
    let (store, consumer) = (&settings.store, &settings.name);
    if !is_forced && let Some(refused) = progress(settings, builder).await? {
        // Another process may have stored these positions when it began a priming.
        return if known(settings).await?.is_none() { Err(refused) } else { Ok(None) };
    }
    let reader = retry_during_outage(consumer, || builder.clone().open()).await?;
    let priming = Priming::begun(after + 1);
    let starts = starts(priming, &reader.partition_state());
    let has_begun = retry_during_outage(consumer, || async {
        let mut tx = store.begin().await?;
        let has_begun = store.primings().begin_priming(&mut tx, consumer, after).await?;
        if has_begun {
            store.advance(&mut tx, consumer, &starts).await?;
        }
        store.commit(tx).await.map(|()| has_begun)
    });
    Ok(has_begun.await?.then_some((reader, priming)))
}

/// Opens the reader where an earlier run has come to. The priming's own positions say where, in each partition: the positions of a live
/// consumer may be far ahead, and the frontier may be ahead of the records of an idle partition.
async fn resume<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
    priming: Priming,
) -> Result<OrderedReader, Error> {
    let (store, consumer, frontier) = (&settings.store, &settings.name, priming.frontier);
    let mut reached = Vec::new();
    for (topic, _) in builder.topics() {
        reached.extend(retry_during_outage(consumer, || store.next_of(consumer, topic)).await?);
    }
    let is_own = |position: &NextOffset| position.key_lane == priming.key_lane();
    // A program of an earlier version has stored all positions of its priming as the live consumer's.
    let has_own = reached.iter().any(is_own);
    reached.retain(|position| if has_own { is_own(position) } else { !Priming::owns(position.key_lane) });
    tracing::info!(consumer = &**consumer, ?frontier, "priming resumes");
    let reader =
        retry_during_outage(consumer, || builder.clone().resume_at(reached.clone(), frontier).open()).await?;
    // A topic that was added since begins where it begins now, also after another crash.
    write(settings, priming, &reader.partition_state()).await?;
    Ok(reader)
}

/// Returns why a consumer is refused: it has positions in the reader's topics, in its database or at a broker.
async fn progress<S: Inbox>(
    settings: &Settings<S>,
    builder: &OrderedReaderBuilder,
) -> Result<Option<Error>, Error> {
    let (store, consumer) = (&settings.store, &settings.name);
    for (topic, log) in builder.topics() {
        let own = retry_during_outage(consumer, || live_next_of(store, consumer, topic)).await?;
        let has_progress = !own.is_empty()
            || !retry_during_outage(consumer, || log.committed_offsets(topic, consumer)).await?.is_empty();
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
    let (store, consumer) = (&settings.store, &settings.name);
    for (topic, _) in builder.topics() {
        if retry_during_outage(consumer, || live_next_of(store, consumer, topic)).await?.is_empty() {
            tracing::warn!(consumer = &**consumer, %topic, "topic was added after the priming: its past is not primed");
        }
    }
    Ok(())
}

/// Notes that all of the past is handled. The live consumer reads a partition without a record of the past from where the reader began.
pub(super) async fn finish<S: Inbox>(
    settings: &Settings<S>,
    priming: Priming,
    partitions: &[PartitionState],
) -> Result<(), Error> {
    write(settings, priming.finished(), partitions).await
}

async fn write<S: Inbox>(
    settings: &Settings<S>,
    priming: Priming,
    partitions: &[PartitionState],
) -> Result<(), Error> {
    let (store, consumer) = (&settings.store, &settings.name);
    let starts = starts(priming, partitions);
    retry_during_outage(consumer, || async {
        let mut tx = store.begin().await?;
        store.primings().write_priming(&mut tx, consumer, priming).await?;
        store.advance(&mut tx, consumer, &starts).await?;
        store.commit(tx).await
    })
    .await
}

/// Returns where the reader began in each partition, as positions of the consumer and of its priming.
fn starts(priming: Priming, partitions: &[PartitionState]) -> Vec<NextOffset> {
    let position = |partition: &PartitionState| NextOffset {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
        key_lane: 0,
        next: partition.replay_start_offset,
    };
    let mut starts = partitions.iter().map(position).collect();
    priming.add_own(&mut starts);
    starts
}
