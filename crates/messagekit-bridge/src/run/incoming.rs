//! Handles the subscriber's assignments and messages, and due timers.

use messagekit::adapter::{Incoming, Lane, Subscriber};

use super::Running;
use crate::filter::Filter;
use crate::lane::{LaneState, Window};
use crate::settings::WINDOW_BYTES;
use crate::stats::ROOM;
use crate::timers::Due;

impl<Sub: Subscriber> Running<Sub> {
    pub(super) fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned { lane, name } => {
                tracing::info!(bridge = &*self.settings.name, ?lane, %name, "lane assigned");
                let mut state = LaneState::default();
                if self.stopping {
                    state.leave();
                    self.subscriber.pause(lane);
                }
                self.lanes.insert(lane, state);
            }
            Incoming::Message(delivery) => {
                let lane = delivery.receipt.lane();
                let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.leaving) else {
                    self.released.push(delivery.receipt);
                    return;
                };
                let (key, bytes) = (delivery.message.key.clone(), delivery.message.size());
                let job = self.settings.job(delivery.message, delivery.position.as_ref());
                state.push(delivery.receipt, key, bytes, job);
                self.look_at(lane);
            }
            Incoming::Revoking { lane, done } => {
                let Some(state) = self.lanes.get_mut(&lane) else { return };
                tracing::info!(bridge = &*self.settings.name, ?lane, "lane revoked");
                self.subscriber.pause(lane);
                self.released.extend(state.leave());
                state.done = Some(done);
                self.timers.after(self.settings.drain, Due::GiveUp(lane));
                self.end_when_at_rest(lane);
            }
            Incoming::Lost { lane } => {
                tracing::warn!(bridge = &*self.settings.name, ?lane, "lane lost");
                // Messages in flight may still be confirmed; their receipts are no longer valid.
                self.lanes.remove(&lane);
            }
        }
    }

    /// Lists a lane with ready messages and applies its window limit.
    pub(super) fn look_at(&mut self, lane: Lane) {
        let bytes = WINDOW_BYTES / self.lanes.len().max(1);
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        if state.is_ready() && !state.listed {
            state.listed = true;
            self.listed.push_back(lane);
        }
        if state.leaving {
            return;
        }
        match state.window(bytes) {
            Window::Pause => self.subscriber.pause(lane),
            Window::Resume => self.subscriber.resume(lane),
            Window::Keep => {}
        }
    }

    pub(super) fn due(&mut self, due: Due) {
        match due {
            Due::Again(lane, position) => {
                if let Some(state) = self.lanes.get_mut(&lane) {
                    state.again(position);
                    self.look_at(lane);
                }
            }
            Due::Check => self.filter.iter_mut().for_each(Filter::look_up_again),
            Due::Mark => self.filter.iter_mut().for_each(Filter::mark_again),
            Due::Room => {
                if let Some(full) = self.settings.stats.room() {
                    tracing::info!(bridge = &*self.settings.name, ?full, "queues have room again");
                } else {
                    self.timers.after(ROOM, Due::Room);
                }
            }
            Due::GiveUp(lane) => {
                if let Some(mut state) = self.lanes.remove(&lane) {
                    self.released.extend(state.give_up());
                    self.hand_over();
                }
            }
        }
    }

    pub(super) fn end_or_go_on(&mut self, lane: Lane) {
        match self.lanes.get(&lane) {
            Some(state) if state.leaving => self.end_when_at_rest(lane),
            _ => self.look_at(lane),
        }
    }

    fn end_when_at_rest(&mut self, lane: Lane) {
        if !self.lanes.get(&lane).is_some_and(|state| state.is_at_rest() && state.done.is_some()) {
            return;
        }
        // The subscriber must receive all receipts before the lane is free.
        self.hand_over();
        self.lanes.remove(&lane);
    }
}
