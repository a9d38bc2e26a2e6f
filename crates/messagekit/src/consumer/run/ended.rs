//! What became of what was started.

use tokio::task::JoinError;

use super::{Ended, Running};
use crate::consumer::batch_run::{After, Turn};
use crate::consumer::retry::Retried;
use crate::consumer::settings::{FIRST_WATCH, LONGEST_WATCH};
use crate::consumer::{Backoff, OnFailure};
use crate::store::{Inbox, ParkingLimits};
use crate::transport::{Lane, Subscriber};
use crate::{Error, ErrorKind};

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    pub(super) fn ended(&mut self, ended: Result<Ended<S>, JoinError>) -> Result<(), Error> {
        match ended {
            Ok(Ended::Turn(lane, turn)) => {
                self.alone = false;
                self.turn_ended(lane, turn)
            }
            Ok(Ended::Retry(retried)) => self.retry_ended(retried),
            Err(error) => {
                Err(Error::new(ErrorKind::Other, "a turn of the consumer did not come back").caused_by(error))
            }
        }
    }

    fn turn_ended(&mut self, lane: Lane, turn: Turn<S>) -> Result<(), Error> {
        let Some(state) = self.lanes.get_mut(&lane) else { return Ok(()) };
        if let Some(working) = state.working.take() {
            self.gates.settle(working.pass, &turn.outcome);
        }
        let finished = !turn.finished.is_empty();
        if finished {
            // Another message is the first one now.
            (state.blocked, state.full) = (0, 0);
            state.available();
        }
        state.fits = turn.fits;
        self.settled.extend(turn.finished);
        if state.given_up {
            self.released.extend(turn.rest.into_iter().map(|item| item.receipt));
            let done = state.revoking.take();
            self.hand_over();
            if done.is_some() {
                self.lanes.remove(&lane);
            }
            return Ok(());
        }
        state.put_back(turn.rest);
        state.rests(turn.of_first);
        if self.settings.key_lanes.get() > 1 {
            // A key lane may be empty because another one holds its partition back.
            state.is_not_quiet();
        }
        let consumer = &*self.settings.name;
        match turn.after {
            After::Continue => {
                state.grow(self.settings.batch.messages.get());
                (state.outages, state.full) = (0, 0);
            }
            After::Outage { error, told_by_handler } => {
                state.outages += 1;
                if told_by_handler {
                    state.unavailable(finished);
                }
                let wait = Backoff::OUTAGE.delay(state.outages);
                tracing::warn!(consumer, error, ?wait, "paused by an outage");
                state.wait_for(wait);
            }
            After::Conflict(error) => {
                state.shrink();
                tracing::debug!(consumer, error, "batch halved by a conflict");
                state.wait_for(Backoff::after_conflict());
            }
            After::TakeCare => {
                let at_most = self.settings.batch.messages;
                tracing::warn!(
                    consumer, ?lane, %at_most,
                    "a process may have ended in the first batch of this lane: its messages run one by one now"
                );
                state.first.take_care();
            }
            After::Watch(watched) => {
                let (message_id, given) = (&watched.message, watched.given());
                if given < FIRST_WATCH {
                    let at_most = self.settings.longest_run();
                    tracing::warn!(
                        consumer, %message_id, ?at_most,
                        "this message may have ended its process each of the last times: whoever else handles it has time to answer"
                    );
                }
                // Each look keeps the other lanes waiting.
                state.wait_for(given.clamp(FIRST_WATCH, LONGEST_WATCH));
                state.watched = Some(watched);
            }
            After::Blocked(failure) => {
                state.blocked += 1;
                let wait = self.settings.backoff.delay(state.blocked);
                if self.settings.on_failure == OnFailure::Block {
                    tracing::error!(
                        consumer, attempt = state.blocked, kind = %failure.kind, error = failure.error, ?wait,
                        "lane blocked by a message that cannot be applied"
                    );
                } else {
                    tracing::warn!(
                        consumer, attempt = state.blocked, kind = %failure.kind, error = failure.error, ?wait,
                        "message is tried again in place"
                    );
                }
                state.wait_for(wait);
            }
            After::Full(message_id, failure) => {
                // Only a culprit has run; one that says unavailable has not failed.
                if let Some(failure) = &failure {
                    state.blocked = failure.attempts;
                }
                state.full += 1;
                // One behind others runs no handler by being tried again, and there is room as soon as its key is drained.
                let backoff = if failure.is_some() { self.settings.backoff } else { Backoff::ROOM };
                let wait = backoff.delay(state.full);
                let ParkingLimits { per_key, in_all } = self.settings.limits;
                if state.full == 1 {
                    tracing::error!(
                        consumer, %message_id, per_key, in_all, ?wait,
                        "lane blocked: there is no room to park its first message"
                    );
                } else {
                    tracing::debug!(consumer, %message_id, ?wait, "lane still blocked: there is no room to park");
                }
                state.wait_for(wait);
            }
            After::Fenced => {
                tracing::info!(consumer, ?lane, "another process has moved the cursor: reading again");
                self.subscriber.pause(lane);
                self.released.extend(state.give_up());
            }
            After::Fatal(error) => return Err(error),
        }
        for delay in turn.due_in {
            self.retries.timer.due_in(delay);
        }
        self.hand_over();
        Ok(())
    }

    fn retry_ended(&mut self, retried: Retried) -> Result<(), Error> {
        if let Some(pass) = self.retries.working.take() {
            self.gates.settle(pass, &retried.outcome);
        }
        self.retries.learn(&retried, self.settings.time_of_a_transaction());
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
            None => self.retries.timer.look_ended(retried.found),
        }
        Ok(())
    }
}
