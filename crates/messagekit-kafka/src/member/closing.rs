//! Leaving the group.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use messagekit::Error;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::background::spawn;
use super::commit::{Begun, NextOf, commit_for_sure};
use super::{Command, Member, Step};
use crate::context::{Context, answer};
use crate::error::unavailable;

/// How long the last commit may take. It may stand behind a join, which the broker answers when the session of a dead member has
/// ended: 6 s by default.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// How long leaving may take after the commit. The client's own end has no limit.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// Whether the last places are durable.
pub(crate) type Closed = Result<(), Error>;

impl Member {
    /// Commits everything handled and leaves, both on another thread: a broker that is away must not hold anybody.
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
            // Its thread holds the client, which leaves the group when nobody does any more.
            opening.into_iter().chain(confirming).for_each(Begun::ends);
            let next = if consumer.assignment_lost() { Vec::new() } else { next };
            let answered = match commit_for_sure(&consumer, next, Instant::now() + LAST_COMMIT) {
                // The answer may be the first word of it that others have the partitions.
                Err(KafkaError::ConsumerCommit(Code::IllegalGeneration | Code::UnknownMemberId))
                    if consumer.assignment_lost() =>
                {
                    Ok(())
                }
                answered => answered,
            };
            // Nobody listens any more when it took too long.
            let _ = committed.send(answered);
            let_go(consumer, step);
            drop(left);
            // It may hold another client.
            drop(replacement);
        };
        spawn("leave", leave);
        let answered = has_committed.recv_timeout(LAST_COMMIT + Duration::from_secs(1));
        // Disconnected is the end.
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

/// Answers whatever the group still asks of a client, and drops it: the group is left when nobody holds it any more.
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
