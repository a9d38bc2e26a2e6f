//! Follows a replay until it ends, and runs it unless another worker does.

use std::time::Duration;

use messagekit::operations::{ReplayJob, ReplayState, Replays};
use messagekit::{Error, ErrorKind, Shutdown};
use tracing_subscriber::filter::LevelFilter;

use super::count::events;
use crate::output::number;

/// How often the progress is read.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the replays of a database, like `messagekit admin`, until this one has ended. An earlier worker keeps the
/// replay.
///
/// # Errors
/// Transient if the database does not answer. A signal also ends the call with an error; the replay then stays as it
/// is.
pub(super) async fn follow(store: &dyn Replays, name: &str, id: i64) -> Result<ReplayJob, Error> {
    // The log shows why the worker waits; the bar shows the rest.
    let _telemetry = crate::log::begin(LevelFilter::WARN)?;
    let interrupted = Shutdown::on_signal()?;
    let enough = Shutdown::new();
    let watching = async {
        let watched = watch(store, id, &interrupted).await;
        enough.request();
        watched
    };
    let ((), job) = tokio::join!(messagekit_admin::run_replays(name, store, &enough), watching);
    let job = job?;
    if job.state == ReplayState::Running {
        let (published, all) = (number(job.published), events(job.events));
        let text = format!(
            "replay {id} is not finished, {published} of {all} are published: it goes on where `messagekit admin` runs, or \
             with `messagekit replay show {id} --follow`"
        );
        return Err(Error::new(ErrorKind::WrongState, text));
    }
    Ok(job)
}

async fn watch(store: &dyn Replays, id: i64, interrupted: &Shutdown) -> Result<ReplayJob, Error> {
    let mut job = store.replay(id).await?;
    let bar = crate::progress::bar(job.events);
    while job.state == ReplayState::Running && !interrupted.is_requested() {
        bar.set_position(job.published);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = interrupted.requested() => {}
        }
        job = store.replay(id).await?;
    }
    bar.finish_and_clear();
    Ok(job)
}
