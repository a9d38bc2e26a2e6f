//! Starts work that the gates admit: batch runs of lanes, and due failed messages.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use tracing::Instrument;

use super::{Running, TaskOutcome};
use crate::consumer::batch::run_batch;
use crate::consumer::lane::{FlowControl, MinimumBatch, Mode};
use crate::consumer::retry::retry;
use crate::consumer::spans::receive;
use crate::gate::{BatchView, NO_LANE};
use crate::store::Inbox;
use crate::transport::{Lane, Subscriber};

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    /// Starts a batch run in every ready lane that the gates admit. A lane that runs messages one by one waits until nothing
    /// else runs, and nothing else starts beside it.
    pub(super) fn start_batches(&mut self, least: MinimumBatch, cx: &mut Context<'_>) -> bool {
        if self.alone {
            return false;
        }
        let after =
            |last: &Lane| self.lanes.keys().copied().filter(move |lane| lane > last).collect::<Vec<_>>();
        let mut order = self.last_admitted.as_ref().map(after).unwrap_or_default();
        order.extend(
            self.lanes.keys().copied().filter(|lane| self.last_admitted.is_none_or(|last| *lane <= last)),
        );
        let mut started = false;
        for lane in order {
            let Some(state) = self.lanes.get_mut(&lane).filter(|state| state.working.is_none()) else {
                continue;
            };
            if !state.is_ready(cx) || least == MinimumBatch::WholeBatch && !state.has_whole_batch() {
                continue;
            }
            let cautious = state.state.guard.mode() == Mode::OneByOne;
            if cautious && !self.tasks.is_empty() {
                break;
            }
            let view = BatchView { lane, messages: state.ready_messages(), bytes: state.ready_bytes() };
            let Poll::Ready((pass, granted)) = self.gates.poll_admit(&view, cx) else { break };
            let (queued, flow_control) = state.take(granted);
            if let FlowControl::Resume = flow_control {
                self.subscriber.resume(lane);
            }
            let stop = Arc::new(AtomicBool::new(false));
            let lane_state = (state.attempts.clone(), state.state);
            let messages = queued.iter().map(|one| &one.prepared.received.message);
            let span = receive(&self.settings, messages);
            let working =
                run_batch(Arc::clone(&self.settings), queued, lane_state, Arc::clone(&stop), pass.starts());
            let working = working.instrument(span);
            state.working = Some(stop);
            // The run keeps its permits, also when its lane is lost: its handlers have started.
            self.tasks.spawn(async move { TaskOutcome::Batch(lane, Box::new(working.await), pass) });
            self.last_admitted = Some(lane);
            self.retries.first = true;
            started = true;
            self.alone = cautious;
            if cautious {
                break;
            }
        }
        started
    }

    /// Polls for a due failed message when it is time and the gates admit. A process without a lane stands by.
    pub(super) fn start_retry(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alone || self.retries.working || self.lanes.is_empty() || !self.retries.timer.is_due(cx) {
            return false;
        }
        let messages = self.retries.most(self.settings.rules.batch.messages);
        let view = BatchView { lane: NO_LANE, messages, bytes: 0 };
        let Poll::Ready((pass, granted)) = self.gates.poll_admit(&view, cx) else { return false };
        self.retries.timer.look_begins();
        (self.retries.working, self.retries.first) = (true, false);
        let working = retry(Arc::clone(&self.settings), granted, self.retries.unavailable, pass.starts());
        self.tasks.spawn(async move { TaskOutcome::Retry(working.await, pass) });
        true
    }
}
