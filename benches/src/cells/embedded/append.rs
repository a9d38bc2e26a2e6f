//! Appends through the engine, with many tasks at once.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use messagekit::Message;

use super::fixture::{judge, open};
use super::run::{Ran, Run};
use crate::events::{messages, publish};
use crate::frame::Outcome;

/// Runs `writers` tasks. Each waits until its event is durable before it appends the next.
pub(super) async fn engine(run: Run<'_>, writers: usize) -> Outcome<Ran> {
    let events = run.events;
    let store = open(&run).await?;
    let all = messages(events)?;
    let shares: Vec<Arc<[Message]>> =
        (0..writers).map(|writer| all.iter().skip(writer).step_by(writers).cloned().collect()).collect();
    let before = store.commit_count();
    let started = Instant::now();
    let tasks = shares.into_iter().map(|share| {
        let publisher = store.publisher();
        tokio::spawn(async move {
            for message in share.chunks(1) {
                publish(&publisher, message).await?;
            }
            Outcome::Ok(())
        })
    });
    for task in try_join_all(tasks).await? {
        task?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let commits = (store.commit_count() - before).max(1);
    store.close().await?;
    let ledger = judge(&run, "messagekit_topic_records", "event_id")?;
    Ok(Ran { rate: events as f64 / seconds, ledger, group: Some(events as f64 / commits as f64) })
}
