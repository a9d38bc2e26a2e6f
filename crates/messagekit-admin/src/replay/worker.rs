//! Working on the replays that were ordered.

use std::time::Duration;

use messagekit::{Error, ReplayJob, ReplayLease, ReplayState, Shutdown, chain};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::renamed::renamed;
use crate::database::Database;

/// The most events of one transaction: what an end in the middle can leave undone.
const BATCH: u32 = 500;
/// How long a replay belongs to a worker after each step: as long it stands still after the worker has died.
const LEASE: Duration = Duration::from_secs(10);
/// How often a database is asked for work, and how long it is left alone after an error.
const IDLE: Duration = Duration::from_secs(2);

/// Works on the replays of one database, one after the other, until the shutdown.
pub(crate) async fn run(database: &Database, ordered: &Notify, shutdown: &Shutdown) {
    while !shutdown.is_requested() {
        match database.store.lease_replay(LEASE).await {
            Ok(Some((lease, job))) => {
                if let Err(error) = work(database, lease, job, shutdown).await {
                    complain(database, &error);
                    rest(ordered, shutdown).await;
                }
            }
            Ok(None) => rest(ordered, shutdown).await,
            Err(error) => {
                complain(database, &error);
                rest(ordered, shutdown).await;
            }
        }
    }
}

/// Publishes until the replay ends, another worker has it, or the shutdown.
async fn work(
    database: &Database,
    lease: ReplayLease,
    job: ReplayJob,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let batch = job.order.per_second.map_or(BATCH, |pace| pace.clamp(1, BATCH));
    let pause = job.order.per_second.map(|pace| Duration::from_secs(1) * batch / pace.max(1));
    let name = &*database.name;
    tracing::info!(database = name, replay = job.id, left = job.events - job.published, "replay goes on");
    while !shutdown.is_requested() {
        let began = Instant::now();
        let stands = database.store.replay_step(lease, batch, LEASE, &renamed).await?;
        match stands {
            Some(job) if job.state == ReplayState::Running => {
                if let Some(pause) = pause {
                    tokio::select! {
                        () = tokio::time::sleep_until(began + pause) => {}
                        () = shutdown.clone() => {}
                    }
                }
            }
            Some(job) => {
                tracing::info!(
                    database = name,
                    replay = job.id,
                    published = job.published,
                    state = job.state.as_str(),
                    "replay ended"
                );
                return Ok(());
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn rest(ordered: &Notify, shutdown: &Shutdown) {
    tokio::select! {
        () = ordered.notified() => {}
        () = tokio::time::sleep(IDLE) => {}
        () = shutdown.clone() => {}
    }
}

fn complain(database: &Database, error: &Error) {
    tracing::warn!(database = &*database.name, error = %chain(error), "replays wait");
}
