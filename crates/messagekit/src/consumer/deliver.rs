//! One message that a program has received by itself, without a source.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::batch::{BatchOutcome, run_batch};
use super::delivered::Delivered;
use super::lane::{LaneState, Pause, PreparedMessage, QueuedMessage, RunEnd};
use super::settings::Settings;
use super::spans::receive;
use super::watch::note_unhandled;
use crate::gate::Starts;
use crate::store::{Failure, FailureKind, Inbox, Store};
use crate::transport::{Lane, Receipt};
use crate::{Error, ErrorKind, Message, MessageId};

/// How long a noted dedup window counts, as while a consumer runs.
const NOTED_FOR: Duration = Duration::from_secs(60 * 60);

/// When the dedup window was noted last: a cleanup keeps the markers inside a noted window.
#[derive(Debug, Default)]
pub(super) struct NotedWindow(Mutex<Option<Instant>>);

impl NotedWindow {
    async fn keep<S: Inbox>(&self, settings: &Settings<S>) -> Result<(), Error> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= NOTED_FOR) {
            settings.window.note(&settings.store, &settings.name).await?;
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(())
    }
}

/// Applies one message as a lane does that has it alone. `attempt` is the number of its run, from 1.
pub(super) async fn deliver<S: Inbox>(
    settings: &Arc<Settings<S>>,
    noted: &NotedWindow,
    message: Message,
    attempt: u32,
) -> Result<Delivered, Error> {
    noted.keep(settings).await?;
    let prepared = PreparedMessage::new(settings, message, None);
    let mut state = LaneState::new("", 1);
    // The sender decides how often a message comes again that ends its process.
    state.guard.all_finished();
    state.failed_runs = attempt.saturating_sub(1);
    let lane = MessageId::of_first(&prepared.received.id.to_string());
    let receipt = Receipt::new(Lane { slot: 0, epoch: 0 }, 0);
    let mut messages = vec![QueuedMessage { receipt, prepared }];
    loop {
        let span = receive(settings, messages.iter().map(|queued| &queued.prepared.received.message));
        let (shared, stop) = (Arc::clone(settings), Arc::new(AtomicBool::new(false)));
        let run = run_batch(shared, messages, (lane.clone(), state), stop, Starts::default());
        let ended = run.instrument(span).await;
        if !matches!(ended.end, RunEnd::Pause(Pause::Conflict(_) | Pause::CrashFound)) {
            note_unhandled(settings).await;
            return outcome(ended);
        }
        tokio::time::sleep(ended.wait.unwrap_or_default()).await;
        (messages, state) = (ended.unfinished, ended.state);
    }
}

fn outcome<S: Store>(ended: BatchOutcome<S>) -> Result<Delivered, Error> {
    let waits = |kind, text: String| Ok(Delivered::Waits(Failure::retryable(kind, text)));
    match ended.end {
        RunEnd::Fatal(error) => Err(error),
        RunEnd::Fenced => Err(Error::new(ErrorKind::Fenced, "another process has moved the cursor")),
        RunEnd::Pause(Pause::Outage(error)) => Err(Error::new(ErrorKind::Unavailable, error)),
        RunEnd::Pause(Pause::Unavailable(error)) => waits(FailureKind::Unavailable, error),
        RunEnd::Pause(Pause::Blocked(failure) | Pause::Full { failure: Some(failure), .. }) => {
            Ok(Delivered::Waits(failure))
        }
        // A message that is alone and has no position waits behind none.
        RunEnd::Pause(_) => waits(FailureKind::KeyBlocked, "an earlier message of its key waits".to_owned()),
        RunEnd::Continue => Ok(match ended.failure {
            Some(failure) => Delivered::Failed(failure),
            None if ended.done.handled > 0 => Delivered::Handled,
            None if ended.done.ignored > 0 => Delivered::Ignored,
            None => Delivered::Duplicate,
        }),
    }
}
