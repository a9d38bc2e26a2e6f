//! Events of the subscriber: assigned and lost lanes, and messages.

use super::Running;
use crate::consumer::lane::{AssignedLane, FlowControl, PreparedMessage, QueuedMessage};
use crate::store::Inbox;
use crate::transport::{Delivery, Incoming, Subscriber};

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    pub(super) fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned { lane, name } => {
                tracing::debug!(consumer = &*self.settings.name, ?lane, %name, "assigned");
                // The key lanes of a divided partition are assigned together.
                if lane.slot.is_multiple_of(self.settings.key_lanes.get()) {
                    self.settings.stats.assignment();
                }
                let mut state = AssignedLane::new(&name, self.settings.rules.batch.messages.get());
                if self.stopping {
                    state.given_up = true;
                    self.subscriber.pause(lane);
                }
                self.lanes.insert(lane, state);
            }
            Incoming::Message(delivery) => self.delivered(delivery),
            Incoming::Revoking { lane, done } => {
                let Some(state) = self.lanes.get_mut(&lane) else { return };
                self.subscriber.pause(lane);
                self.released.extend(state.give_up());
                state.stop();
                if state.working.is_some() {
                    state.revoking = Some(done);
                } else {
                    // Settled and released receipts must reach the subscriber before the lane is free.
                    self.hand_over();
                    self.lanes.remove(&lane);
                    drop(done);
                }
            }
            Incoming::Lost { lane } => {
                tracing::debug!(consumer = &*self.settings.name, ?lane, "lost");
                // A running batch is rolled back or committed; its receipts have no effect either way.
                if let Some(state) = self.lanes.remove(&lane) {
                    state.stop();
                }
            }
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        let lane = delivery.receipt.lane();
        let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.given_up) else {
            self.released.push(delivery.receipt);
            return;
        };
        let prepared = PreparedMessage::new(&self.settings, delivery.message, delivery.position);
        if let FlowControl::Pause = state.push(QueuedMessage { receipt: delivery.receipt, prepared }) {
            self.subscriber.pause(lane);
        }
    }
}
