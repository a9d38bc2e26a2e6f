//! One run at a time over the source of a pipeline.

use std::pin::pin;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{NameHolder, PipelineStore};
use tokio::time::timeout;

/// How long a run waits for another one before it says so.
const PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The databases and names under which this task runs pipelines.
    static RUNNING: Vec<String>;
}

/// Does work that only one run under a name may do, after waiting for another run: at most for `most`.
///
/// # Errors
/// [`ErrorKind::WouldDeadlock`] if the other run has called this one. [`ErrorKind::Unavailable`] after `most`.
pub(super) async fn alone<S: PipelineStore, R, E: From<Error>>(
    store: &S,
    name: String,
    most: Option<Duration>,
    work: impl Future<Output = Result<R, E>>,
) -> Result<R, E> {
    let mut running = RUNNING.try_with(Clone::clone).unwrap_or_default();
    let own = format!("{} {name}", store.address());
    let _alone = wait(store, &name, most, running.contains(&own)).await?;
    running.push(own);
    RUNNING.scope(running, work).await
}

async fn wait<S: PipelineStore>(
    store: &S,
    name: &str,
    most: Option<Duration>,
    is_nested: bool,
) -> Result<Box<dyn NameHolder>, Error> {
    let mut waiting = pin!(store.work_alone(name));
    let first = most.map_or(PATIENCE, |most| most.min(PATIENCE));
    if let Ok(alone) = timeout(first, &mut waiting).await {
        return alone;
    }
    if is_nested {
        let text = "pipeline waits for itself: its function runs it again";
        return Err(Error::new(ErrorKind::WouldDeadlock, text).with("pipeline", name));
    }
    let other = store.worker_of(name).await.unwrap_or_else(|| "another process".to_owned());
    tracing::info!(pipeline = name, "waiting for {other}, which runs the pipeline");
    let Some(most) = most else { return waiting.await };
    timeout(most.saturating_sub(first), waiting).await.unwrap_or_else(|_| {
        let text = format!("{other} runs the pipeline: wait for it, or for longer");
        Err(Error::new(ErrorKind::Unavailable, text).with("pipeline", name))
    })
}
