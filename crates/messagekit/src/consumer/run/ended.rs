//! Results of the started tasks.

use tokio::task::JoinError;

use super::{Running, TaskOutcome};
use crate::consumer::batch::BatchOutcome;
use crate::consumer::lane::RunEnd;
use crate::consumer::retry::RetryOutcome;
use crate::consumer::spans::settle;
use crate::store::Inbox;
use crate::transport::{Lane, Subscriber};
use crate::{Error, ErrorKind};

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    pub(super) fn ended(&mut self, ended: Result<TaskOutcome<S>, JoinError>) -> Result<(), Error> {
        match ended {
            Ok(TaskOutcome::Batch(lane, ended, pass)) => {
                self.alone = false;
                self.gates.settle(pass, &ended.for_gates);
                self.batch_ended(lane, *ended)
            }
            Ok(TaskOutcome::Retry(retried, pass)) => {
                self.gates.settle(pass, &retried.for_gates);
                self.retry_ended(retried)
            }
            Err(error) => Err(Error::new(ErrorKind::Other, "a batch run of the consumer did not come back")
                .caused_by(error)),
        }
    }

    fn batch_ended(&mut self, id: Lane, ended: BatchOutcome<S>) -> Result<(), Error> {
        self.retries.has_more();
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        lane.working = None;
        let _settling = ended.span.in_scope(|| settle(&self.settings, ended.finished.len())).entered();
        lane.state = ended.state;
        self.settled.extend(ended.finished);
        if lane.given_up {
            self.released.extend(ended.unfinished.into_iter().map(|queued| queued.receipt));
            let done = lane.revoking.take();
            self.hand_over();
            if done.is_some() {
                self.lanes.remove(&id);
            }
            return Ok(());
        }
        lane.put_back(ended.unfinished);
        lane.start_quiet_time();
        if self.settings.key_lanes.get() > 1 {
            // A key lane may be empty because another one delays its partition.
            lane.reset_quiet_time();
        }
        if let Some(wait) = ended.wait {
            lane.wait_for(wait);
        }
        match ended.end {
            RunEnd::Continue | RunEnd::Pause(_) => {}
            RunEnd::Fenced => {
                let consumer = &*self.settings.name;
                tracing::info!(consumer, lane = ?id, "another process has moved the cursor: reading again");
                self.subscriber.pause(id);
                self.released.extend(lane.give_up());
            }
            RunEnd::Fatal(error) => return Err(error),
        }
        for delay in ended.due_in {
            self.retries.timer.due_in(delay);
        }
        self.hand_over();
        Ok(())
    }

    fn retry_ended(&mut self, retried: RetryOutcome) -> Result<(), Error> {
        self.retries.working = false;
        self.retries.learn(&retried, self.settings.rules.time_of_a_transaction());
        if let Some(error) = retried.fatal {
            return Err(error);
        }
        if let Some(delay) = retried.due_in {
            self.retries.timer.due_in(delay);
        }
        match retried.outage {
            Some(error) => {
                let wait = self.retries.timer.outage();
                tracing::warn!(consumer = &*self.settings.name, error, ?wait, "retries paused by an outage");
            }
            None => self.retries.look_ended(retried.was_due),
        }
        Ok(())
    }
}
