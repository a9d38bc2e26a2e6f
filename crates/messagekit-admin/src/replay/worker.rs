//! Running the ordered replays.

use std::time::Duration;

use messagekit::operations::{ReplayJob, ReplayLease, ReplayState, Replays};
use messagekit::{Error, Shutdown, chain};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::renamed::renamed;

/// The most events of one transaction: the most that an interruption can leave undone.
const BATCH: u32 = 500;
/// The lease of a replay after each step: for this long it pauses after its worker has crashed.
const LEASE: Duration = Duration::from_secs(10);
/// How many replays run at once, so that a slow one delays no other.
const LANES: usize = 4;
/// The polling interval of a database, and the pause after an error.
const IDLE: Duration = Duration::from_secs(2);

/// Runs the ordered replays of one database, up to 4 at once, until the shutdown; the next worker continues
/// unfinished ones. `database` is its name in the log.
///
/// Several workers may run: each replay belongs to one of them. Another worker takes over from a crashed one after 10
/// seconds.
pub async fn run_replays(database: &str, store: &dyn Replays, shutdown: &Shutdown) {
    run(database, store, &Notify::new(), shutdown).await;
}

pub(crate) async fn run(database: &str, store: &dyn Replays, ordered: &Notify, shutdown: &Shutdown) {
    let lanes = (0..LANES).map(|_| one_by_one(database, store, ordered, shutdown));
    futures_util::future::join_all(lanes).await;
}

async fn one_by_one(database: &str, store: &dyn Replays, ordered: &Notify, shutdown: &Shutdown) {
    while !shutdown.is_requested() {
        match store.lease_replay(LEASE).await {
            Ok(Some((lease, job))) => {
                if let Err(error) = work(database, store, lease, job, shutdown).await {
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

/// Publishes until the replay ends, another worker takes it over, or the shutdown.
async fn work(
    database: &str,
    store: &dyn Replays,
    lease: ReplayLease,
    job: ReplayJob,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let batch = job.order.per_second.map_or(BATCH, |pace| pace.clamp(1, BATCH));
    let pause = job.order.per_second.map(|pace| Duration::from_secs(1) * batch / pace.max(1));
    tracing::info!(
        database,
        replay = job.id,
        left = job.events.saturating_sub(job.published),
        "replay goes on"
    );
    while !shutdown.is_requested() {
        let began = Instant::now();
        let stands = store.replay_step(lease, batch, LEASE, &renamed).await?;
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
                    database,
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

fn complain(database: &str, error: &Error) {
    tracing::warn!(database, error = %chain(error), "replays wait");
}
