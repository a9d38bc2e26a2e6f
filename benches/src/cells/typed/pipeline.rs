//! A pipeline from a topic to one with a dedup rule.

use std::convert::Infallible;
use std::time::Instant;

use super::super::embedded::{Ran, Run};
use super::fixture::{Item, SOURCE, TARGET, filled, judge, topic};
use crate::frame::Outcome;

/// Runs a pipeline whose commits have `batch` records.
pub(super) async fn run(run: Run<'_>, batch: usize) -> Outcome<Ran> {
    let topics = filled(&run).await?;
    let (source, target) = (topic(&topics, SOURCE, false).await?, topic(&topics, TARGET, true).await?);
    let started = Instant::now();
    let ran = source
        .pipe(async |item: Item| Ok::<_, Infallible>(item))
        .to(&target)
        .atomic_batch(batch)
        .run()
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    if ran.appended != run.events as u64 {
        return Err(format!("appended {} of {} records", ran.appended, run.events).into());
    }
    topics.close().await?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger: judge(&run, TARGET)?, group: None })
}
