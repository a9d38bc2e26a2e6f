//! The state of a failed message in words.

use jiff::SignedDuration;
use messagekit::operations::{FailedMessageHead, FailedMessageState};

use crate::output::number;

/// The two times of a new row differ by the time between their reads.
const SAME: SignedDuration = SignedDuration::from_millis(10);

/// Returns whether an operator's action returned it to state `dead`: its retry has failed, or its discard was undone.
///
/// A retry counts from 0 and has one run that ends the failed message; runs that crashed their process are counted
/// beside it. A failed message that is dead after its last scheduled run has had more.
pub(super) fn is_dead_again(failed_message: &FailedMessageHead) -> bool {
    let moved = failed_message.changed_at.duration_since(failed_message.set_aside_at) > SAME;
    failed_message.state == FailedMessageState::Dead
        && moved
        && failed_message.attempts.saturating_sub(failed_message.crash_count) <= 1
}

/// Returns the text for a table column.
pub(super) fn in_words(failed_message: &FailedMessageHead) -> String {
    let state = if is_dead_again(failed_message) {
        "dead again".to_owned()
    } else {
        failed_message.state.to_string()
    };
    if failed_message.holds_back > 0 {
        format!("{state}, holds back {}", number(failed_message.holds_back))
    } else {
        state
    }
}
