//! Progress bars on standard error; without a terminal nothing is drawn.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar over `length` steps.
pub(crate) fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
