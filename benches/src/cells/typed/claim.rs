//! Claims and acknowledges through record claims.

use std::time::Instant;

use messagekit_topic_store::{Claimed, RecordClaimer, Which};

use super::super::embedded::{Ran, Run};
use super::fixture::{Item, SOURCE, filled, ledger};
use crate::frame::Outcome;

/// Claims at most `max` records at a time and acknowledges all of them.
pub(super) async fn run(run: Run<'_>, max: u32) -> Outcome<Ran> {
    let topics = filled(&run).await?;
    let claimer = RecordClaimer::new(topics.store().clone(), "bench", SOURCE);
    let mut payloads = Vec::with_capacity(run.events);
    let started = Instant::now();
    while let Claimed::Records(claim) = claimer.claim(max).await? {
        claimer.acknowledge(&claim, Which::All).await?;
        payloads.extend(claim.records.into_iter().map(|claimed| claimed.record.message.payload));
    }
    let seconds = started.elapsed().as_secs_f64();
    topics.close().await?;
    let number = |payload: &_| serde_json::from_slice::<Item>(payload).map(|item| item.number);
    let seen = payloads.iter().map(|payload| number(payload)).collect::<Result<Vec<_>, _>>()?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger: ledger(run.events, &seen), group: None })
}
