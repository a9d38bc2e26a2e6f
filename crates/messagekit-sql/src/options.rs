//! The options behind `WITH`.

use std::num::NonZeroU64;

use crate::command::{RetentionLimit, RetentionOptions};
use crate::cursor::Cursor;
use crate::error::SyntaxError;

/// The most seconds of a retention rule: their microseconds are a number of the database.
const MAX_SECONDS: u64 = i64::MAX as u64 / 1_000_000;

/// Reads `(name = value, …)`, at least one, each at most once. `value` takes what stands behind the sign.
pub(crate) fn options<'a>(
    cursor: &mut Cursor<'a>,
    names: &[&'static str],
    mut value: impl FnMut(&mut Cursor<'a>, &'static str) -> Result<(), SyntaxError>,
) -> Result<(), SyntaxError> {
    cursor.expect_symbol("(")?;
    let mut seen = Vec::new();
    loop {
        let token = cursor.peek();
        let Some(name) = names.iter().copied().find(|name| cursor.eat(name)) else {
            return Err(cursor.unexpected());
        };
        if seen.contains(&name) {
            return Err(cursor.wrong(token, format!("{name} once"), "a second one".to_owned()));
        }
        seen.push(name);
        cursor.expect_symbol("=")?;
        value(cursor, name)?;
        if !cursor.eat_symbol(",") {
            return cursor.expect_symbol(")");
        }
    }
}

impl RetentionOptions {
    /// The names of the options.
    pub(crate) const NAMES: [&'static str; 4] =
        ["retention_seconds", "retention_max_bytes", "retention_consumed", "retention_unhandled_seconds"];

    /// Takes the value of the option of this name.
    pub(crate) fn take(&mut self, cursor: &mut Cursor<'_>, name: &'static str) -> Result<(), SyntaxError> {
        match name {
            "retention_seconds" => self.seconds = Some(seconds(cursor)?),
            "retention_unhandled_seconds" => self.unhandled_seconds = Some(seconds(cursor)?),
            "retention_max_bytes" => {
                let label = "a number from 1 to 9223372036854775807";
                self.max_bytes = Some(limit(cursor, i64::MAX as u64, label)?);
            }
            _ => self.consumed = Some(boolean(cursor)?),
        }
        Ok(())
    }
}

fn seconds(cursor: &mut Cursor<'_>) -> Result<RetentionLimit, SyntaxError> {
    limit(cursor, MAX_SECONDS, "a number from 1 to 9223372036854")
}

fn limit(cursor: &mut Cursor<'_>, most: u64, label: &'static str) -> Result<RetentionLimit, SyntaxError> {
    if cursor.eat("NULL") {
        return Ok(RetentionLimit::Unlimited);
    }
    let token = cursor.peek();
    let number: NonZeroU64 = cursor.number(label).map_err(|error| error.with_cure("NULL sets no limit"))?;
    if number.get() > most {
        return Err(cursor.wrong(token, format!("NULL or {label}"), token.shown()));
    }
    Ok(RetentionLimit::At(number))
}

/// Takes `TRUE` or `FALSE`.
pub(crate) fn boolean(cursor: &mut Cursor<'_>) -> Result<bool, SyntaxError> {
    if cursor.eat("TRUE") {
        return Ok(true);
    }
    if cursor.eat("FALSE") { Ok(false) } else { Err(cursor.unexpected()) }
}
