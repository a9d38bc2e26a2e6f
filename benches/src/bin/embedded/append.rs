//! Appending through the engine, many tasks at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use messagekit::{Message, Publisher};
use messagekit_benches::{Outcome, messages};
use messagekit_sqlite::SqliteStore;

use crate::fixture::{check, database};

pub(crate) struct Appended {
    /// Events per second.
    pub(crate) rate: f64,
    /// Events per commit.
    pub(crate) group: f64,
}

/// `writers` tasks, each waiting for its event to be durable before it appends the next.
pub(crate) async fn engine(folder: &Path, events: usize, writers: usize) -> Outcome<Appended> {
    let store = SqliteStore::open(database(folder)).await?;
    let all = messages(events)?;
    let shares: Vec<Arc<[Message]>> =
        (0..writers).map(|writer| all.iter().skip(writer).step_by(writers).cloned().collect()).collect();
    let before = store.commit_count();
    let started = Instant::now();
    let tasks = shares.into_iter().map(|share| {
        let publisher = store.publisher();
        tokio::spawn(async move {
            for message in share.chunks(1) {
                for published in publisher.publish(message).await {
                    published?;
                }
            }
            Ok::<(), messagekit::PublishError>(())
        })
    });
    for task in try_join_all(tasks).await? {
        task?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let commits = (store.commit_count() - before).max(1);
    store.close().await?;
    check(folder, "messagekit_topic_records", "event_id", events)?;
    Ok(Appended { rate: events as f64 / seconds, group: events as f64 / commits as f64 })
}
