//! The WHERE clause of a filter: only the columns that it names, so that an index can serve it.

use messagekit::operations::{FailedMessageFilter, FailedMessageState, Origin};
use rusqlite::types::Value;

use super::micros_of;

/// Conditions on failed messages, with the alias `d`, and the values of their parameters.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    texts: Vec<&'static str>,
    pub(crate) values: Vec<Value>,
}

impl Conditions {
    pub(crate) fn of(filter: &FailedMessageFilter) -> Self {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        let word = |value: &'static str| Value::Text(value.to_owned());
        let mut conditions = Self::default();
        conditions.add(
            "d.consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?)",
            text(&filter.consumer),
        );
        conditions.add("d.state = ?", filter.state.map(FailedMessageState::as_str).map(word));
        if filter.is_open {
            conditions.texts.push("d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')");
        }
        conditions.add("d.origin = ?", filter.origin.map(Origin::as_str).map(word));
        conditions.add("d.event_type = ?", text(&filter.event_type));
        conditions.add("d.kind = ?", text(&filter.kind));
        conditions.add("d.fingerprint = ?", text(&filter.fingerprint));
        conditions.add("d.key = ?", filter.key.clone().map(Value::Blob));
        conditions.add("d.set_aside_at >= ?", filter.since.map(micros_of).map(Value::Integer));
        conditions.add("d.set_aside_at < ?", filter.until.map(micros_of).map(Value::Integer));
        conditions.add("d.id < ?", filter.before.map(Value::Integer));
        conditions.add("d.id > ?", filter.after.map(Value::Integer));
        conditions
    }

    fn add(&mut self, text: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.texts.push(text);
            self.values.push(value);
        }
    }

    /// Returns the conditions joined by AND; `true` without conditions.
    pub(crate) fn sql(&self) -> String {
        if self.texts.is_empty() { "true".to_owned() } else { self.texts.join(" AND ") }
    }

    /// Adds the value of a LIMIT after the conditions.
    pub(crate) fn limited(mut self, limit: u32) -> Vec<Value> {
        self.values.push(Value::Integer(limit.into()));
        self.values
    }
}
