//! The cells of the benchmark that need brokers.

mod cells;

use cells::{Needs, SMALLEST, assert_all_sound, assert_sound};

/// Cells that wait for minutes, the contender that stands for all of them, and the scale of a full run: a bridge that has done its work
/// within five seconds is not killed.
const OF_MINUTES: [(&str, &str, &str); 2] = [
    ("B2", "messagekit bridge, without kills", "0.5"),
    ("K2", "kill -9 of one, started again at once messagekit consumer, with instance ids", SMALLEST),
];

#[test]
fn cells_of_brokers_run() {
    assert_all_sound(Needs::Brokers);
}

#[test]
fn cells_of_killed_processes_run() {
    let is_full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1");
    for (cell, one, full) in OF_MINUTES {
        let (only, scale) = if is_full { ("", full) } else { (one, SMALLEST) };
        assert_sound(&[cell], only, scale);
    }
}
