//! The state of a failed message in words.

use messagekit::operations::{FailedMessageHead, FailedMessageState, StateReason};

use crate::output::number;

/// Returns the state, and for a dead failed message why it is dead.
pub(super) fn with_reason(failed_message: &FailedMessageHead) -> String {
    let FailedMessageHead { state, reason, .. } = failed_message;
    if *state != FailedMessageState::Dead {
        return state.to_string();
    }
    let why = match reason {
        StateReason::SetAside => "no retry was scheduled",
        StateReason::RunFailed => "its last run failed",
        StateReason::RequestedRunFailed => "its requested run failed",
        StateReason::DiscardUndone => "its discard was undone",
        // No transition to `dead` has another one.
        other => other.as_str(),
    };
    format!("{state}, {why}")
}

/// Returns the text for a table column.
pub(super) fn in_words(failed_message: &FailedMessageHead) -> String {
    let state = with_reason(failed_message);
    if failed_message.holds_back > 0 {
        format!("{state}, holds back {}", number(failed_message.holds_back))
    } else {
        state
    }
}
