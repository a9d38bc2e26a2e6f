//! Retention rules as columns.

use std::time::Duration;

use messagekit::log::RetentionRule;
use rusqlite::{Result, Row};

/// Reads a rule from three columns: `max_age`, `max_bytes` and `keep_unhandled`.
pub(crate) fn read(row: &Row<'_>, first: usize) -> Result<Option<RetentionRule>> {
    let (age, bytes): (Option<i64>, Option<i64>) = (row.get(first)?, row.get(first + 1)?);
    let rule = RetentionRule {
        max_age: age.map(|micros| Duration::from_micros(micros.unsigned_abs())),
        max_bytes: bytes.map(i64::unsigned_abs),
        keep_unhandled: row.get(first + 2)?,
    };
    let is_set = age.is_some() || bytes.is_some() || rule.keep_unhandled;
    Ok(is_set.then_some(rule))
}
