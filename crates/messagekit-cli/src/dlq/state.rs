//! The state of a letter in words.

use jiff::SignedDuration;
use messagekit::{LetterHead, LetterState};

use crate::output::number;

/// The two times of a new row are taken one after the other.
const SAME: SignedDuration = SignedDuration::from_millis(10);

/// Returns whether a person's act brought it back to being dead: its retry has failed, or its discard was undone.
///
/// A retry counts from 0 and has one run that ends the letter; runs that ended their process are counted beside it. A letter
/// that died of its last planned run has had more.
pub(super) fn is_dead_again(letter: &LetterHead) -> bool {
    let moved = letter.changed_at.duration_since(letter.set_aside_at) > SAME;
    letter.state == LetterState::Dead && moved && letter.attempts.saturating_sub(letter.kills) <= 1
}

/// What stands in a column.
pub(super) fn in_words(letter: &LetterHead) -> String {
    let state = if is_dead_again(letter) { "dead again".to_owned() } else { letter.state.to_string() };
    if letter.holds_back > 0 { format!("{state}, holds back {}", number(letter.holds_back)) } else { state }
}
