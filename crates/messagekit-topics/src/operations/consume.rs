//! Records for one call: claimed or read, waited for if there are none.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::Bounds;
use messagekit::{Error as CoreError, ErrorKind, Shutdown};
use messagekit_topic_store::{Claimed, RecordClaim, TableSources};
use messagekit_topic_store::{CommitWatch, Pages};
use messagekit_wire::{Consume, ConsumeAnswer, Deleted, OnDeleted};
use tokio::time::{Instant, sleep_until};

use super::claims::{self, lease_of, patiently};
use super::message::message;
use super::names;
use super::read::{Reading, position};
use crate::Error;

/// The most records of an answer.
const MOST: u32 = 1_000;

/// The most records of an answer unless a request says another number.
const USUAL: u32 = 100;

/// The most bytes of a claim, and of a page of each partition; a record may be larger.
const MAX_BYTES: usize = 8 << 20;

/// More bytes than a record has.
const LARGE: usize = 1 << 20;

/// The longest wait in seconds: a day.
const LONGEST_WAIT: u64 = 24 * 60 * 60;

/// The shortest wait for a record whose lease ends or whose delay is over: clocks differ.
const SHORTEST: Duration = Duration::from_millis(5);

/// Returns records as soon as there are any, or what there is when the time is over.
pub(super) async fn consume<S: TableSources + Pages>(
    store: &S,
    request: &Consume,
    shutdown: Option<Shutdown>,
) -> Result<ConsumeAnswer, Error> {
    let lease = lease_of(request.lease_seconds)?;
    match &request.group_id {
        Some(group) => {
            names::group(&request.topic_id, group)?;
            claim(store, request, (group, lease), &mut Waiting::begin(store, request, shutdown)?).await
        }
        None => {
            names::topic(&request.topic_id)?;
            read(store, request, &mut Waiting::begin(store, request, shutdown)?).await
        }
    }
}

fn limit_of(request: &Consume) -> u32 {
    request.limit.unwrap_or(USUAL).clamp(1, MOST)
}

/// What a call waits for. Commits are watched before the first look, so that none in between is missed.
struct Waiting {
    until: Instant,
    shutdown: Option<Shutdown>,
    watch: Option<Box<dyn CommitWatch>>,
}

impl Waiting {
    fn begin<S: TableSources>(
        store: &S,
        request: &Consume,
        shutdown: Option<Shutdown>,
    ) -> Result<Self, CoreError> {
        let wait = Duration::from_secs(request.timeout_seconds.unwrap_or(0).min(LONGEST_WAIT));
        let watch = if wait.is_zero() { None } else { Some(store.watch_records()?) };
        Ok(Self { until: Instant::now() + wait, shutdown, watch })
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
    request: &Consume,
    (group, lease): (&str, Duration),
    waiting: &mut Waiting,
) -> Result<ConsumeAnswer, Error> {
    let mut claimer = claims::claimer(store, &request.topic_id, group)
        .begin_at(position(request.start))
        .lease(lease)
        .on_deleted(match request.on_deleted.unwrap_or_default() {
            OnDeleted::Earliest => messagekit_topic_store::OnDeleted::Earliest,
            OnDeleted::Latest => messagekit_topic_store::OnDeleted::Latest,
            OnDeleted::Fail => messagekit_topic_store::OnDeleted::Fail,
        })
        .max_bytes(MAX_BYTES);
    if let Some(partition) = request.partition_id {
        claimer = claimer.of_partition(partition);
    }
    let mut answer = ConsumeAnswer::default();
    loop {
        match patiently(|| claimer.claim(limit_of(request))).await? {
            Claimed::Records(claim) => {
                answer.has_more = may_have_more(store, request, &claim).await;
                answer.claim_id = Some(claim.id.to_string());
                answer.lease_until_ms = Some(claim.until.as_millisecond());
                let claimed = claim.records.into_iter();
                answer.messages = claimed.map(|claimed| message(claimed.record, claimed.attempt)).collect();
                answer.next_offset = answer.messages.last().map(|last| last.offset + 1);
                return Ok(answer);
            }
            Claimed::Deleted { partition, offsets } => {
                answer.deleted.push(Deleted {
                    partition_id: partition,
                    from: offsets.start,
                    to: offsets.end,
                });
            }
            Claimed::Nothing { due } => {
                if !waiting.next(due).await? {
                    return Ok(answer);
                }
            }
        }
    }
}

/// A claim is of one partition, and ends before a record that would make it too large.
async fn may_have_more<S: Pages>(store: &S, request: &Consume, claim: &RecordClaim) -> bool {
    let bytes: usize = claim.records.iter().map(|claimed| claimed.record.message.payload.len()).sum();
    let is_full = claim.records.len() == limit_of(request) as usize || bytes + LARGE >= MAX_BYTES;
    if is_full || claim.id.is_of_failed_message() {
        return true;
    }
    // The records are claimed: an error must not keep them from the caller.
    let topic = Arc::from(&*request.topic_id);
    let is_divided = async || store.bounds(&topic).await.map_or(true, |partitions| partitions.len() > 1);
    request.partition_id.is_none() && (claim.partition > 0 || is_divided().await)
}

async fn read<S: TableSources + Pages>(
    store: &S,
    request: &Consume,
    waiting: &mut Waiting,
) -> Result<ConsumeAnswer, Error> {
    let topic = Arc::from(&*request.topic_id);
    let mut readings = Vec::new();
    for bounds in wanted(store, &topic, request.partition_id).await? {
        readings.push(Reading::begin(position(request.start), &bounds)?);
    }
    let (mut answer, mut bytes) = (ConsumeAnswer::default(), 0);
    loop {
        for reading in &mut readings {
            let room = if bytes < MAX_BYTES { limit_of(request) as usize - answer.messages.len() } else { 0 };
            let (records, has_more) = reading.read(store, &topic, room).await?;
            answer.has_more |= has_more;
            bytes += records.iter().map(|record| record.message.payload.len()).sum::<usize>();
            answer.messages.extend(records.into_iter().map(|record| message(record, 0)));
        }
        if !answer.messages.is_empty() || !waiting.next(None).await? {
            if let [only] = &readings[..] {
                let last = answer.messages.last().map(|last| last.offset + 1);
                answer.next_offset = last.or(Some(only.next));
            }
            return Ok(answer);
        }
    }
}

/// Returns the partitions of the request.
async fn wanted<S: TableSources + Pages>(
    store: &S,
    topic: &Arc<str>,
    partition: Option<i32>,
) -> Result<Vec<Bounds>, CoreError> {
    let mut partitions = store.bounds(topic).await?;
    if let Some(wanted) = partition {
        partitions.retain(|bounds| bounds.partition == wanted);
        if partitions.is_empty() {
            return Err(CoreError::new(ErrorKind::NotFound, "topic has no such partition")
                .with("topic", topic)
                .with("partition", wanted));
        }
    }
    Ok(partitions)
}
