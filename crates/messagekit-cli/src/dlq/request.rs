//! An action on failed messages, chunk by chunk, and what became of each.

use std::time::Instant;

use messagekit::Error;
use messagekit::operations::{Action, ActionResult, FailedMessages, Pace, SelectionBatch};

use crate::operator::operator;

/// How many failed messages one transaction moves.
pub(super) const CHUNK: usize = 500;

/// The action of a command; the chunks of a paced retry join without a gap.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) act: Action,
    pace: Option<Pace>,
    began: Instant,
}

impl Request {
    pub(super) fn new(act: Action, pace: Option<Pace>) -> Self {
        Self { act, pace, began: Instant::now() }
    }

    /// Sends one chunk; `accepted` were accepted before it.
    pub(super) async fn send(
        self,
        failed_messages: &dyn FailedMessages,
        ids: &[i64],
        accepted: usize,
    ) -> Result<Vec<ActionResult>, Error> {
        match self.next_pace(accepted) {
            None => failed_messages.act(self.act, ids, &operator()).await,
            Some(pace) => failed_messages.retry_at_pace(ids, pace, &operator()).await,
        }
    }

    /// Sends one batch of a selection, whose messages that have changed are skipped.
    pub(super) async fn send_batch(
        self,
        failed_messages: &dyn FailedMessages,
        batch: SelectionBatch<'_>,
        accepted: usize,
    ) -> Result<Vec<ActionResult>, Error> {
        failed_messages.act_on_selection(self.act, self.next_pace(accepted), batch, &operator()).await
    }

    fn next_pace(&self, accepted: usize) -> Option<Pace> {
        self.pace.map(|pace| pace.behind(accepted, self.began.elapsed()))
    }
}

/// The result of an action on several failed messages.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) done: usize,
    pub(super) refused: Vec<(i64, ActionResult)>,
}

impl Outcome {
    /// Records the result of one failed message.
    pub(super) fn note(&mut self, id: i64, result: ActionResult) {
        match result {
            ActionResult::Done => self.done += 1,
            refused => self.refused.push((id, refused)),
        }
    }
}
