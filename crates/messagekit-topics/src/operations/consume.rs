//! Records for one call: claimed or read, waited for if there are none.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{Bounds, Claimed, CommitWatch, Pages, RecordClaim, TableSources};
use messagekit::{Error as CoreError, ErrorKind, Shutdown};
use tokio::time::{Instant, sleep_until};

use super::claims::{self, patiently};
use super::consumed::{Consumed, ConsumedRecord, ServedClaim};
use super::names;
use super::read::Reading;
use super::requests::ConsumeRequest;
use crate::Error;

/// The most bytes of a claim, and of a page of each partition; a record may be larger.
const MAX_BYTES: usize = 8 << 20;

/// More bytes than a record has.
const LARGE: usize = 1 << 20;

/// The shortest wait for a record whose lease ends or whose delay is over: clocks differ.
const SHORTEST: Duration = Duration::from_millis(5);

/// Returns records as soon as there are any, or what there is when the time is over.
pub(super) async fn consume<S: TableSources + Pages>(
    store: &S,
    request: &ConsumeRequest,
) -> Result<Consumed, Error> {
    match &request.group {
        Some(group) => {
            names::group(&request.topic, group)?;
            claim(store, request, group, &mut Waiting::begin(store, request)?).await
        }
        None => {
            names::topic(&request.topic)?;
            read(store, request, &mut Waiting::begin(store, request)?).await
        }
    }
}

/// What a call waits for. Commits are watched before the first look, so that none in between is missed.
struct Waiting {
    until: Instant,
    shutdown: Option<Shutdown>,
    watch: Option<Box<dyn CommitWatch>>,
}

impl Waiting {
    fn begin<S: TableSources>(store: &S, request: &ConsumeRequest) -> Result<Self, CoreError> {
        let watch = if request.wait.is_zero() { None } else { Some(store.watch_records()?) };
        Ok(Self { until: Instant::now() + request.wait, shutdown: request.shutdown.clone(), watch })
    }

    /// Waits for records that may have come or may be due, and returns false when the time is over.
    async fn next(&mut self, due: Option<Timestamp>) -> Result<bool, CoreError> {
        let Some(watch) = &mut self.watch else { return Ok(false) };
        let now = Instant::now();
        if now >= self.until {
            return Ok(false);
        }
        let due = due.map(|due| {
            let left = due.duration_since(Timestamp::now());
            now + Duration::try_from(left).unwrap_or_default().max(SHORTEST)
        });
        tokio::select! {
            changed = watch.changed() => changed?,
            () = sleep_until(due.unwrap_or(self.until).min(self.until)) => {}
            () = requested(self.shutdown.as_ref()) => return Ok(false),
        }
        Ok(true)
    }
}

async fn requested(shutdown: Option<&Shutdown>) {
    match shutdown {
        Some(shutdown) => shutdown.requested().await,
        None => std::future::pending().await,
    }
}

async fn claim<S: TableSources + Pages>(
    store: &S,
    request: &ConsumeRequest,
    group: &str,
    waiting: &mut Waiting,
) -> Result<Consumed, Error> {
    let mut claimer = claims::claimer(store, &request.topic, group)
        .begin_at(request.start)
        .lease(request.lease)
        .on_deleted(request.on_deleted)
        .max_bytes(MAX_BYTES);
    if let Some(partition) = request.partition {
        claimer = claimer.of_partition(partition);
    }
    let mut consumed = Consumed::default();
    loop {
        match patiently(|| claimer.claim(request.limit)).await? {
            Claimed::Records(claim) => {
                consumed.has_more = may_have_more(store, request, &claim).await;
                consumed.claim =
                    Some(ServedClaim { id: claim.id, partition: claim.partition, until: claim.until });
                let record = |claimed: messagekit::log::ClaimedRecord| {
                    ConsumedRecord::of(claimed.record, claimed.attempt)
                };
                consumed.records = claim.records.into_iter().map(record).collect();
                return Ok(consumed);
            }
            Claimed::Deleted { partition, offsets } => consumed.deleted.push((partition, offsets)),
            Claimed::Nothing { due } => {
                if !waiting.next(due).await? {
                    return Ok(consumed);
                }
            }
        }
    }
}

/// A claim is of one partition, and ends before a record that would make it too large.
async fn may_have_more<S: Pages>(store: &S, request: &ConsumeRequest, claim: &RecordClaim) -> bool {
    let bytes: usize = claim.records.iter().map(|claimed| claimed.record.message.payload.len()).sum();
    let is_full = claim.records.len() == request.limit as usize || bytes + LARGE >= MAX_BYTES;
    if is_full || claim.id.is_of_failed_message() {
        return true;
    }
    // The records are claimed: an error must not keep them from the caller.
    let is_divided =
        async || Pages::bounds(store, &request.topic).await.map_or(true, |partitions| partitions.len() > 1);
    request.partition.is_none() && (claim.partition > 0 || is_divided().await)
}

async fn read<S: TableSources + Pages>(
    store: &S,
    request: &ConsumeRequest,
    waiting: &mut Waiting,
) -> Result<Consumed, Error> {
    let mut readings = Vec::new();
    for bounds in wanted(store, request).await? {
        readings.push(Reading::begin(request.start, &bounds)?);
    }
    let (mut consumed, mut bytes) = (Consumed::default(), 0);
    loop {
        for reading in &mut readings {
            let room = if bytes < MAX_BYTES { request.limit as usize - consumed.records.len() } else { 0 };
            let (records, has_more) = reading.read(store, &request.topic, room).await?;
            consumed.has_more |= has_more;
            bytes += records.iter().map(|record| record.message.payload.len()).sum::<usize>();
            consumed.records.extend(records.into_iter().map(|record| ConsumedRecord::of(record, 0)));
        }
        if !consumed.records.is_empty() || !waiting.next(None).await? {
            consumed.next = readings.iter().map(|reading| (reading.partition, reading.next)).collect();
            return Ok(consumed);
        }
    }
}

/// Returns the partitions of the request.
async fn wanted<S: TableSources + Pages>(
    store: &S,
    request: &ConsumeRequest,
) -> Result<Vec<Bounds>, CoreError> {
    let mut partitions = Pages::bounds(store, &request.topic).await?;
    if let Some(wanted) = request.partition {
        partitions.retain(|bounds| bounds.partition == wanted);
        if partitions.is_empty() {
            return Err(CoreError::new(ErrorKind::NotFound, "topic has no such partition")
                .with("topic", &request.topic)
                .with("partition", wanted));
        }
    }
    Ok(partitions)
}
