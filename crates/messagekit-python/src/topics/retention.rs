//! Retention rules as Python hands them over.

use std::time::Duration;

use messagekit_topics::RetentionRule;

/// A retention rule: its age in microseconds, its bytes, whether unhandled records stay, and up to which age in microseconds.
pub(crate) type Rule = (Option<u64>, Option<u64>, bool, Option<u64>);

pub(crate) fn rule_of((max_age, max_bytes, keep_unhandled, unhandled): Rule) -> RetentionRule {
    RetentionRule {
        max_age: max_age.map(Duration::from_micros),
        max_bytes,
        keep_unhandled,
        unhandled_max_age: unhandled.map(Duration::from_micros),
    }
}
