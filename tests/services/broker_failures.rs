//! The size of the tests in which brokers fail again and again.

use crate::is_full;

/// Returns the number of broker failures. Every third one is a freeze, the others are kills.
pub fn broker_failures() -> usize {
    if is_full() { 10 } else { 2 }
}

/// Returns the milliseconds after which a publish is given up: the default at the stated size, or less.
pub fn given_up_after() -> &'static str {
    if is_full() { "30000" } else { "5000" }
}
