//! A copy of a table that follows from the events of its source alone.

use std::collections::BTreeMap;

use messagekit_topic_store::{RecordQuery, TopicStore};
use serde_json::Value;

/// The rows that events have left, by their primary keys. An event that does not fit them is a fault: an insert of a row that is there, an
/// update or a delete of one that is not, a change whose value before is another one.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The columns of the primary key.
    key: Vec<String>,
    rows: BTreeMap<String, Value>,
    /// The id of the last event.
    last: i64,
    /// Whether events that do not fit are applied.
    is_lenient: bool,
    /// The events that were applied last.
    events: Vec<Value>,
}

impl Mirror {
    /// A copy of an empty table with these columns in its primary key.
    pub fn of(key: &[&str]) -> Self {
        Self { key: key.iter().map(|&column| column.to_owned()).collect(), ..Self::default() }
    }

    /// Applies events that do not fit, too: for a table whose rows refer to others of it, which SQLite changes before the event of the
    /// statement is made.
    #[must_use]
    pub fn lenient(mut self, is_lenient: bool) -> Self {
        self.is_lenient = is_lenient;
        self
    }

    /// Applies the events that have come to a topic, and returns how many.
    ///
    /// # Errors
    /// The first event that does not fit, in words.
    pub async fn follow(&mut self, store: &impl TopicStore, topic: &str) -> Result<usize, String> {
        self.events.clear();
        loop {
            let query = RecordQuery {
                consumer: "mirror".into(),
                topic: topic.into(),
                status: None,
                after: self.last,
                max: 500,
            };
            let records = store.read_records(&query).await.map_err(|error| error.to_string())?.records;
            let Some(last) = records.last() else { return Ok(self.events.len()) };
            self.last = last.id;
            for record in &records {
                let event = serde_json::from_slice(&record.record.message.payload);
                let event = plain(event.map_err(|error| error.to_string())?);
                let applied = self.apply(&event);
                self.events.push(event);
                applied.map_err(|fault| self.with_events(&fault))?;
            }
        }
    }

    fn apply(&mut self, event: &Value) -> Result<(), String> {
        let (kind, row) = (event["eventType"].as_str().unwrap_or_default(), &event["row"]);
        let kind = kind.rsplit('.').next().unwrap_or_default();
        if kind == "truncated" {
            self.rows.clear();
            return Ok(());
        }
        let key = self.key_of(row);
        let fits = |is_there: bool| {
            if self.is_lenient || is_there == (kind != "inserted") {
                Ok(())
            } else {
                Err(format!("{kind} does not fit"))
            }
        };
        match (kind, &event["changes"]) {
            ("deleted", _) => fits(self.rows.remove(&key).is_some()),
            ("updated", Value::Object(changes)) => {
                let Some(row) = self.rows.get_mut(&key) else { return fits(false) };
                for (column, change) in changes {
                    let before = std::mem::replace(&mut row[column], change["after"].clone());
                    if !self.is_lenient && before != change["before"] {
                        return Err(format!("{column} was {before}"));
                    }
                }
                Ok(())
            }
            _ => fits(self.rows.insert(key, row.clone()).is_some()),
        }
    }

    fn with_events(&self, fault: &str) -> String {
        let shown =
            |event: &Value| format!("\n  {} {} {}", event["eventType"], event["row"], event["changes"]);
        format!("{fault}, after{}", self.events.iter().map(shown).collect::<String>())
    }

    fn key_of(&self, row: &Value) -> String {
        self.key.iter().map(|column| row[column].to_string()).collect::<Vec<_>>().join(",")
    }

    /// Compares it with the rows of the table.
    ///
    /// # Errors
    /// A row that one of them has and the other has not, or has otherwise, in words.
    pub fn compare(&self, table: &[Value]) -> Result<(), String> {
        self.differs(table).map_or(Ok(()), |fault| Err(self.with_events(&fault)))
    }

    fn differs(&self, table: &[Value]) -> Option<String> {
        let rows = table.iter().cloned().map(plain);
        let table: BTreeMap<String, Value> = rows.map(|row| (self.key_of(&row), row)).collect();
        // The events of some sources hold the key alone.
        let holds = |held: &Value, row: &Value| {
            held.as_object().is_some_and(|held| held.iter().all(|(column, value)| row[column] == *value))
        };
        for (key, row) in &table {
            match self.rows.get(key) {
                Some(held) if holds(held, row) => {}
                held => return Some(format!("the table has {row}, and the events leave {held:?}")),
            }
        }
        let gone = self.rows.iter().find(|(key, _)| !table.contains_key(*key));
        gone.map(|(_, row)| format!("the table has no {row}, which the events leave"))
    }
}

/// Writes a whole number in one way: 2.0 is 2.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() < 1e15 => {
                (whole as i64).into()
            }
            _ => Value::Number(number),
        },
        other => other,
    }
}
