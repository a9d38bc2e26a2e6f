//! The cells of the benchmark that need brokers.

mod cells;

use cells::{Needs, OF_MINUTES, SMALLEST, assert_all_sound, assert_sound};

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
