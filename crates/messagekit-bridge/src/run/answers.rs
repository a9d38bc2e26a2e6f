//! Handles results of publishes and of the duplicate filter.

use messagekit::adapter::{FailureKind, Lane, PublishError, PublishErrorKind, Subscriber};
use messagekit::gate::Outcome;
use messagekit::headers::TraceContext;
use messagekit::{Error, chain, crash};

use super::Running;
use crate::filter::{Filtered, Lookup, Marked};
use crate::job::Job;
use crate::lane::Obstacle;
use crate::sending::Sent;
use crate::settings::{no_room, outage};
use crate::stats::ROOM;
use crate::timers::Due;

impl<Sub: Subscriber> Running<Sub> {
    pub(super) fn sent(&mut self, sent: Sent) {
        let Sent { lane, position, job, pass, answer } = sent;
        let refusal = answer.as_ref().err().map(|error| error.refusal);
        if let Some(pass) = pass {
            let failed = match refusal {
                // The broker responds: an overall pause would help no queue.
                None
                | Some(PublishErrorKind::Rejected | PublishErrorKind::KeyBlocked | PublishErrorKind::Full) => {
                    Vec::new()
                }
                Some(_) => vec![FailureKind::Unavailable],
            };
            self.gates.settle(pass, &Outcome { used: 1, handled: refusal.is_none(), failed });
        }
        match (job, answer) {
            (Job::Forward { target, id, .. }, Ok(())) => {
                self.answered();
                self.settings.stats.count(|counts| counts.forwarded += 1);
                self.settings.targets[target].forwarded.inc();
                crash::point("bridge.confirmed");
                match &mut self.filter {
                    Some(filter) => filter.mark(lane, position, id),
                    None => self.finish(lane, position),
                }
            }
            (Job::Forward { target, id, message }, Err(error))
                if error.refusal == PublishErrorKind::Rejected =>
            {
                self.answered();
                self.settings.stats.count(|counts| counts.returned += 1);
                self.settings.targets[target].returned.inc();
                tracing::warn!(
                    bridge = &*self.settings.name, %id, routing_key = %self.settings.targets[target].routing_key,
                    trace_id = TraceContext::of(&message).map(|trace| trace.trace_id().to_owned()),
                    error = %chain(&error.error), "message refused: it goes to the dead-letter topic"
                );
                let dead_letter = self.settings.refused(target, message, &error);
                self.put_back(lane, position, dead_letter);
            }
            (job @ Job::Forward { .. }, Err(error)) => {
                self.settings.stats.count(|counts| counts.repeated += 1);
                self.settings.metrics.repeated.inc();
                match error.refusal {
                    PublishErrorKind::Full => self.no_room(lane, position, job, &error),
                    _ => self.outage(lane, position, job, &error),
                }
            }
            (Job::Bury { kind, .. }, Ok(())) => {
                self.settings.stats.count(|counts| counts.dead_lettered += 1);
                self.settings.metrics.dead_lettered(kind.as_str()).inc();
                crash::point("bridge.dead_lettered");
                self.finish(lane, position);
            }
            (job @ Job::Bury { .. }, Err(error)) => {
                if let Some(outages) = self.keep(lane, position, job, Obstacle::DeadLetter) {
                    self.dead_letter_failed(&error, outages);
                }
            }
        }
    }

    /// Handles a full queue while the broker responds. Its keys wait, longer each time, because each attempt adds a
    /// copy to the other bound queues.
    fn no_room(&mut self, lane: Lane, position: u64, job: Job, error: &PublishError) {
        self.answered();
        if self.keep(lane, position, job, Obstacle::Full).is_none() {
            return;
        }
        let text = chain(&error.error).to_string();
        if self.settings.stats.refused(text.clone()) {
            tracing::warn!(bridge = &*self.settings.name, error = text, "queue has no room: its keys wait");
            self.timers.after(ROOM, Due::Room);
        }
    }

    /// Handles a publish with an unknown result, or a broker that accepts no messages.
    fn outage(&mut self, lane: Lane, position: u64, job: Job, error: &PublishError) {
        self.settings.stats.count(|counts| counts.unconfirmed -= 1);
        // A message of a released lane does not indicate an outage of this bridge.
        if self.keep(lane, position, job, Obstacle::Outage).is_none() {
            return;
        }
        let text = chain(&error.error).to_string();
        if self.settings.stats.failed(text.clone()) {
            tracing::warn!(bridge = &*self.settings.name, error = text, "broker does not take messages");
        }
    }

    /// Reports a refused dead letter. The bridge waits, because it must not skip the record.
    fn dead_letter_failed(&self, error: &PublishError, outages: u32) {
        // Delays grow to two seconds, so this logs about once a minute.
        if outages % 32 != 1 {
            return;
        }
        let (bridge, topic) = (&*self.settings.name, &*self.settings.dead_letters.topic);
        let text = chain(&error.error).to_string();
        match error.refusal {
            PublishErrorKind::Rejected => {
                tracing::error!(
                    bridge,
                    topic,
                    error = text,
                    "dead-letter topic refuses a dead letter: its key stands still"
                );
            }
            _ => tracing::warn!(bridge, topic, error = text, "dead letter not confirmed"),
        }
    }

    fn answered(&self) {
        if let Some(outage) = self.settings.stats.answered() {
            tracing::info!(bridge = &*self.settings.name, ?outage, "broker takes messages again");
        }
    }

    pub(super) fn filtered(&mut self, filtered: Filtered) -> Result<(), Error> {
        match filtered {
            Filtered::Known(answers) => {
                for (Lookup { lane, position, job }, known) in answers {
                    if known {
                        self.settings.stats.count(|counts| counts.duplicates += 1);
                        self.settings.metrics.duplicates.inc();
                        self.finish(lane, position);
                    } else {
                        self.lanes.get_mut(&lane).into_iter().for_each(|state| state.is_new(position));
                        self.put_back(lane, position, job);
                    }
                }
            }
            Filtered::Marked(marked) => {
                marked.into_iter().for_each(|Marked { lane, position, .. }| self.finish(lane, position));
            }
            Filtered::LookUpLater(error, outages) => self.filter_rests(error, outages, Due::Check)?,
            Filtered::MarkLater(error, outages) => self.filter_rests(error, outages, Due::Mark)?,
        }
        Ok(())
    }

    fn filter_rests(&mut self, error: Error, outages: u32, due: Due) -> Result<(), Error> {
        if !error.is_transient() {
            return Err(error);
        }
        let wait = outage().delay(outages);
        tracing::warn!(bridge = &*self.settings.name, error = %chain(&error), ?wait, "duplicate filter");
        self.timers.after(wait, due);
        Ok(())
    }

    /// Ends a message and returns its receipt.
    fn finish(&mut self, lane: Lane, position: u64) {
        self.in_work -= 1;
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        self.settled.extend(state.finish(position));
        self.end_or_go_on(lane);
    }

    /// Returns a message to the lane to be started at once.
    fn put_back(&mut self, lane: Lane, position: u64, job: Job) {
        self.in_work -= 1;
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        match state.leaving {
            true => self.released.extend(state.release(position)),
            false => state.put_back(position, job),
        }
        self.end_or_go_on(lane);
    }

    /// Returns a message to the lane to be started after a delay. Returns how often it met this obstacle in a row, or
    /// `None` if it was released instead.
    fn keep(&mut self, lane: Lane, position: u64, job: Job, met: Obstacle) -> Option<u32> {
        self.in_work -= 1;
        let state = self.lanes.get_mut(&lane)?;
        if state.leaving {
            self.released.extend(state.release(position));
            self.end_or_go_on(lane);
            return None;
        }
        let times = state.keep(position, job, met)?;
        let backoff = if met == Obstacle::Full { no_room() } else { outage() };
        self.timers.after(backoff.delay(times), Due::Again(lane, position));
        Some(times)
    }
}
