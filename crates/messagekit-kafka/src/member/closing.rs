//! Leaving the group.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use messagekit::Error;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::commit::commit_for_sure;
use super::commit_in_flight::CommitInFlight;
use super::lane::NextOf;
use super::step::Step;
use super::{Closed, Member};
use crate::background::spawn;
use crate::context::{Context, answer};
use crate::error::unavailable;
use crate::link::Command;

/// The time limit of the last commit. The commit may wait behind a join, which the broker answers when the session of
/// a dead member ends: after 6 s by default.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// The time limit of leaving after the commit. The client's own shutdown has no limit.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

impl Member {
    /// Commits everything handled and leaves, on another thread: an unreachable broker must not block the caller.
    pub(super) fn close(mut self) -> Closed {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Settle(receipts) = command {
                self.settle(&receipts);
            }
        }
        let next: Vec<NextOf> =
            self.lanes.values().filter_map(|lane| Some(lane.next_at(lane.moved()?))).collect();
        self.lanes.clear();
        let (committed, has_committed) = mpsc::channel();
        let (left, has_left) = mpsc::channel::<()>();
        let Self { consumer, step, name, opening, confirming, replacement, .. } = self;
        let leave = move || {
            // The threads of these commits hold the client, which leaves the group when the last reference is
            // dropped.
            opening.into_iter().chain(confirming).for_each(CommitInFlight::ends);
            let next = if consumer.assignment_lost() { Vec::new() } else { next };
            let answered = match commit_for_sure(&consumer, next, Instant::now() + LAST_COMMIT) {
                // This answer may be the first sign that other members own the partitions.
                Err(KafkaError::ConsumerCommit(Code::IllegalGeneration | Code::UnknownMemberId))
                    if consumer.assignment_lost() =>
                {
                    Ok(())
                }
                answered => answered,
            };
            // The receiver has stopped waiting if this took too long.
            let _ = committed.send(answered);
            let_go(consumer, step);
            drop(left);
            // The replacement may hold another client.
            drop(replacement);
        };
        spawn("leave", leave);
        let answered = has_committed.recv_timeout(LAST_COMMIT + Duration::from_secs(1));
        // A disconnected channel means that the client has left.
        if has_left.recv_timeout(LEAVE_DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(consumer = &*name, "leaving the group takes long: it goes on by itself");
        }
        let text = "last places were not written: their messages come again";
        match answered {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(text, error).with("consumer", &name)),
            Err(_) => Err(Error::new(messagekit::ErrorKind::Unavailable, text).with("consumer", &name)),
        }
    }
}

/// Answers the pending requests of the group to a client, and drops the client: it leaves the group with its last
/// reference.
pub(super) fn let_go(consumer: Arc<BaseConsumer<Context>>, step: Option<Step>) {
    consumer.context().close();
    let waiting = step.map(Step::into_rebalance).into_iter();
    let noted = std::iter::from_fn(|| consumer.context().next_rebalance());
    for rebalance in waiting.chain(noted) {
        if let Err(error) = answer(&consumer, &rebalance) {
            tracing::debug!(%error, "rebalance while leaving");
        }
    }
}
