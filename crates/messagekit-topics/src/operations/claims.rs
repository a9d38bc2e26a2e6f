//! Claims of a server's clients.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{Pages, PartitionStart, RecordClaim, RecordClaimer, RecordClaims, TableSources, Which};
use messagekit::{Error as CoreError, ErrorKind};

use super::names;
use super::requests::{ClaimedOffsets, Settle};
use crate::Error;

/// How often a transaction that met another one is begun anew.
const TRIES: u32 = 5;

/// Returns the claimer of a group.
pub(super) fn claimer<S: RecordClaims>(store: &S, topic: &str, group: &str) -> RecordClaimer<S> {
    RecordClaimer::new(store.clone(), group, topic).for_others()
}

/// Repeats what met another transaction.
pub(super) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, CoreError>
where
    F: Future<Output = Result<T, CoreError>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

fn of<S: RecordClaims>(store: &S, settle: &Settle) -> Result<RecordClaimer<S>, CoreError> {
    names::group(&settle.topic, &settle.group)?;
    Ok(claimer(store, &settle.topic, &settle.group).lease(settle.lease))
}

/// The records of a claim are read only where they are needed.
fn without_records(settle: &Settle) -> RecordClaim {
    let (id, until) = (settle.claim.clone(), Timestamp::UNIX_EPOCH);
    RecordClaim { id, partition: settle.partition, until, records: Vec::new() }
}

fn which(settle: &Settle) -> Which<'_> {
    match &settle.offsets {
        ClaimedOffsets::All => Which::All,
        ClaimedOffsets::UpTo(offset) => Which::UpTo(*offset),
        ClaimedOffsets::These(offsets) => Which::Offsets(offsets),
    }
}

pub(super) async fn acknowledge<S: RecordClaims>(store: &S, settle: &Settle) -> Result<i64, Error> {
    let (claimer, claim) = (of(store, settle)?, without_records(settle));
    Ok(patiently(|| claimer.acknowledge(&claim, which(settle))).await?)
}

/// The records say which attempt this was, and are kept if it was the last one.
pub(super) async fn give_back<S: RecordClaims>(
    store: &S,
    settle: &Settle,
    delay: Duration,
    error: &str,
) -> Result<(), Error> {
    let claimer = of(store, settle)?;
    let claim = patiently(|| claimer.find(&settle.claim, settle.partition)).await?;
    Ok(patiently(|| claimer.retry(&claim, which(settle), delay, error)).await?)
}

pub(super) async fn release<S: RecordClaims>(store: &S, settle: &Settle) -> Result<(), Error> {
    let (claimer, claim) = (of(store, settle)?, without_records(settle));
    Ok(patiently(|| claimer.release(&claim, which(settle))).await?)
}

pub(super) async fn extend<S: RecordClaims>(store: &S, settle: &Settle) -> Result<Timestamp, Error> {
    let (claimer, claim) = (of(store, settle)?, without_records(settle));
    Ok(patiently(|| claimer.extend(&claim)).await?)
}

pub(super) async fn reset<S: TableSources + Pages>(
    store: &S,
    topic: &str,
    group: &str,
    partition: Option<i32>,
    to: PartitionStart,
) -> Result<Vec<(i32, i64)>, Error> {
    names::group(topic, group)?;
    let partitions = match partition {
        Some(partition) => vec![partition],
        None => Pages::bounds(store, &topic.into()).await?.iter().map(|bounds| bounds.partition).collect(),
    };
    let claimer = claimer(store, topic, group);
    let mut moved = Vec::new();
    for partition in partitions {
        moved.push((partition, patiently(|| claimer.reset(partition, to)).await?));
    }
    Ok(moved)
}
