//! Retention rules as columns.

use std::time::Duration;

use messagekit_topic_store::RetentionRule;
use rusqlite::{Result, Row};

/// Reads a rule from four columns: `max_age`, `max_bytes`, `keep_unhandled` and `unhandled_max_age`.
pub(crate) fn read(row: &Row<'_>, first: usize) -> Result<Option<RetentionRule>> {
    let (age, bytes): (Option<i64>, Option<i64>) = (row.get(first)?, row.get(first + 1)?);
    let unhandled: Option<i64> = row.get(first + 3)?;
    let duration = |micros: i64| Duration::from_micros(micros.unsigned_abs());
    let rule = RetentionRule {
        max_age: age.map(duration),
        max_bytes: bytes.map(i64::unsigned_abs),
        keep_unhandled: row.get(first + 2)?,
        unhandled_max_age: unhandled.map(duration),
    };
    let is_set = age.is_some() || bytes.is_some() || rule.keep_unhandled;
    Ok(is_set.then_some(rule))
}
