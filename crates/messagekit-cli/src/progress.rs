//! Progress bars on standard error; without a terminal nothing is drawn.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar over `length` steps.
pub(crate) fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Returns a count of records with their rate, for as many as there are.
pub(crate) fn rate() -> ProgressBar {
    let style = ProgressStyle::with_template("{human_pos} records, {per_sec}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
