//! Appends through typed topics.

use std::time::Instant;

use futures_util::future::try_join_all;

use super::super::embedded::{Ran, Run};
use super::fixture::{SOURCE, items, judge, topic, topics};
use crate::frame::{Ledger, Outcome};

/// Runs `appenders` tasks. Each waits until its record is committed before it appends the next.
pub(super) async fn by(run: Run<'_>, appenders: usize) -> Outcome<Ran> {
    let topics = topics(&run).await?;
    let source = topic(&topics, SOURCE, false).await?;
    let all = items(run.events);
    let shares: Vec<Vec<_>> = (0..appenders)
        .map(|appender| all.iter().skip(appender).step_by(appenders).cloned().collect())
        .collect();
    let before = topics.store().commit_count();
    let started = Instant::now();
    let tasks = shares.into_iter().map(|share| {
        let source = source.clone();
        tokio::spawn(async move {
            for item in &share {
                source.append(item).await?;
            }
            Outcome::Ok(())
        })
    });
    for task in try_join_all(tasks).await? {
        task?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let commits = (topics.store().commit_count() - before).max(1);
    topics.close().await?;
    let mut ledger = judge(&run, SOURCE)?;
    if appenders > 1 {
        // They do not wait for each other.
        ledger = Ledger { out_of_order: 0, ..ledger };
    }
    Ok(Ran { rate: run.events as f64 / seconds, ledger, group: Some(run.events as f64 / commits as f64) })
}

/// Appends `batch` records with each call.
pub(super) async fn extend(run: Run<'_>, batch: usize, dedup: bool) -> Outcome<Ran> {
    let topics = topics(&run).await?;
    let source = topic(&topics, SOURCE, dedup).await?;
    let all = items(run.events);
    let started = Instant::now();
    for batch in all.chunks(batch) {
        source.extend(batch).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    topics.close().await?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger: judge(&run, SOURCE)?, group: None })
}
