//! One lane: its waiting messages, the state that it keeps between batch runs, and its key lanes.

mod assigned;
mod call_slot;
mod crash_guard;
mod key_lanes;
mod message;
mod pause;
mod state;

pub(super) use assigned::{AssignedLane, FlowControl, MinimumBatch};
pub(super) use call_slot::CallState;
pub(super) use crash_guard::{
    Judgement, Mode, begin_attempt, clear_batch, poison_message, withdraw, withdraw_batch,
};
pub(super) use key_lanes::{KeyLanes, key_lane_of};
pub(super) use message::{PreparedMessage, QueuedMessage};
pub(super) use pause::{Pause, RunEnd};
pub(super) use state::LaneState;
