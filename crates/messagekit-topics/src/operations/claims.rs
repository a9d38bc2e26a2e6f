//! Claims of a server's clients.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::Pages;
use messagekit_topic_store::{RecordClaim, RecordClaimId, RecordClaimer, RecordClaims, TableSources, Which};
use messagekit_wire::{Acknowledge, Acknowledged, Done, Extend, Extended, GiveBack, Start};

use super::names;
use super::read::position;
use super::refusals::refused;
use crate::Error;

/// The most offsets of one request.
const MAX_OFFSETS: usize = 1_000;

/// The most bytes of the id of a claim.
const MAX_CLAIM: usize = 100;

/// The longest lease in seconds: a day.
const MAX_LEASE: u64 = 24 * 60 * 60;

/// The longest delay of records that are given back, in seconds: a week.
const MAX_DELAY: u64 = 7 * 24 * 60 * 60;

/// The most bytes of an error that is kept.
const MAX_ERROR: usize = 1_000;

/// How often a transaction that met another one begins again.
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

/// Returns how long a claim lasts: 60 s unless a request says another time.
pub(super) fn lease_of(seconds: Option<u64>) -> Result<Duration, CoreError> {
    let seconds = seconds.unwrap_or(60);
    if (1..=MAX_LEASE).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(refused(format!("lease_seconds is not from 1 to {MAX_LEASE}")))
}

/// Returns a claim without its records, which are read only where they are needed. Errors name the claim: a text that
/// cannot be its id is not repeated.
fn claim_of(id: &str, partition: i32) -> Result<RecordClaim, CoreError> {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.len() > MAX_CLAIM || !id.bytes().all(is_usual) {
        let text = "claim_id is not the id of a claim: send that of the answer which had the records";
        return Err(CoreError::new(ErrorKind::ClaimLost, text));
    }
    let (id, until) = (RecordClaimId::from_text(id), Timestamp::UNIX_EPOCH);
    Ok(RecordClaim { id, partition, until, records: Vec::new() })
}

fn which(up_to: Option<i64>, offsets: Option<&[i64]>) -> Result<Which<'_>, CoreError> {
    match (up_to, offsets) {
        (Some(_), Some(_)) => Err(refused("upto_offset and offsets exclude each other")),
        (_, Some(offsets)) if offsets.len() > MAX_OFFSETS => {
            Err(refused(format!("offsets has more than {MAX_OFFSETS} numbers")))
        }
        (_, Some([])) => Err(refused("offsets is empty")),
        (Some(offset), None) => Ok(Which::UpTo(offset)),
        (None, Some(offsets)) => Ok(Which::Offsets(offsets)),
        (None, None) => Ok(Which::All),
    }
}

pub(super) async fn acknowledge<S: RecordClaims>(
    store: &S,
    request: &Acknowledge,
) -> Result<Acknowledged, Error> {
    let which = which(request.upto_offset, request.offsets.as_deref())?;
    let claim = request.claim_id.as_ref().map(|id| claim_of(id, request.partition_id)).transpose()?;
    let names = || names::group(&request.topic_id, &request.group_id);
    let claimer = claimer(store, &request.topic_id, &request.group_id);
    let next = match (claim, which) {
        (Some(claim), which) => {
            names()?;
            patiently(|| claimer.acknowledge(&claim, which)).await?
        }
        (None, Which::UpTo(offset)) => {
            names()?;
            patiently(|| claimer.acknowledge_up_to(request.partition_id, offset)).await?
        }
        (None, _) => return Err(refused("ack has neither claim_id nor upto_offset").into()),
    };
    Ok(Acknowledged { success: true, acknowledged_offset: (next > 0).then(|| next - 1) })
}

/// The records say which attempt this was, and are kept if it was the last one.
pub(super) async fn give_back<S: RecordClaims>(store: &S, request: &GiveBack) -> Result<Done, Error> {
    if request.delay_seconds > MAX_DELAY {
        return Err(refused(format!("delay_seconds is more than {MAX_DELAY}")).into());
    }
    if !request.tried && (request.delay_seconds > 0 || request.error.is_some()) {
        return Err(refused("records that were not tried have neither delay_seconds nor error").into());
    }
    let which = which(request.upto_offset, request.offsets.as_deref())?;
    let claim = claim_of(&request.claim_id, request.partition_id)?;
    names::group(&request.topic_id, &request.group_id)?;
    let claimer = claimer(store, &request.topic_id, &request.group_id);
    if request.tried {
        let claim = patiently(|| claimer.find(&claim.id, request.partition_id)).await?;
        let delay = Duration::from_secs(request.delay_seconds);
        let error = shortened(request.error.as_deref().unwrap_or("the client gave it back"));
        patiently(|| claimer.retry(&claim, which, delay, &error)).await?;
    } else {
        patiently(|| claimer.release(&claim, which)).await?;
    }
    Ok(Done { success: true })
}

fn shortened(error: &str) -> String {
    let mut end = error.len().min(MAX_ERROR);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    error[..end].replace('\0', " ")
}

pub(super) async fn extend<S: RecordClaims>(store: &S, request: &Extend) -> Result<Extended, Error> {
    let claim = claim_of(&request.claim_id, request.partition_id)?;
    let lease = lease_of(request.lease_seconds)?;
    names::group(&request.topic_id, &request.group_id)?;
    let claimer = claimer(store, &request.topic_id, &request.group_id).lease(lease);
    let until = patiently(|| claimer.extend(&claim)).await?;
    Ok(Extended { success: true, lease_until_ms: until.as_millisecond() })
}

pub(super) async fn reset<S: TableSources + Pages>(
    store: &S,
    topic: &str,
    group: &str,
    partition: Option<i32>,
    to: Start,
) -> Result<Vec<(i32, i64)>, Error> {
    names::group(topic, group)?;
    let partitions = match partition {
        Some(partition) => vec![partition],
        None => store.bounds(topic).await?.iter().map(|bounds| bounds.partition).collect(),
    };
    let claimer = claimer(store, topic, group);
    let mut moved = Vec::new();
    for partition in partitions {
        moved.push((partition, patiently(|| claimer.reset(partition, position(Some(to)))).await?));
    }
    Ok(moved)
}
