//! Committing the start offsets of new lanes.

use std::task::Poll;
use std::time::{Duration, Instant};

use super::Member;
use super::commit_in_flight::CommitInFlight;
use super::lane::{Lane, Stage};
use crate::link::Event;

const OPEN_AGAIN: Duration = Duration::from_millis(200);

impl Member {
    /// Commits where new lanes start, and announces the lanes afterwards. Otherwise a process could crash after its
    /// first commit in the database. That would leave a position there and none in the group, which looks like a lost
    /// offset.
    pub(super) fn open(&mut self) {
        if let Some(opening) = self.opening.take() {
            match opening.answered() {
                Poll::Pending => {
                    self.opening = Some(opening);
                    return;
                }
                Poll::Ready(Some(Ok(()))) => self.opened(opening),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(consumer = &*self.name, %error, "the start of new lanes is not written yet");
                }
                Poll::Ready(None) => {}
            }
        }
        let now = Instant::now();
        if now < self.next_opening {
            return;
        }
        let is_new = |lane: &Lane| lane.stage == Stage::Opening;
        self.opening = self.commit_once(now, |lane| lane.handled().filter(|_| is_new(lane)));
        if self.opening.is_some() {
            self.next_opening = now + OPEN_AGAIN;
        }
    }

    fn opened(&mut self, opening: CommitInFlight) {
        for (id, start) in opening.lanes {
            let Some(lane) = self.lane(id).filter(|lane| lane.stage == Stage::Opening) else { continue };
            lane.durable = Some(start);
            lane.stage = Stage::Open;
            let name = lane.name();
            self.events.send(Event::Assigned(id, name));
        }
    }
}
