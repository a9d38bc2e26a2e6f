//! A value and its location.

use std::collections::BTreeMap;

/// Holds a value before it is converted to its setting's type.
#[derive(Clone)]
pub struct Value {
    pub(super) form: Form,
    /// Location: `bridge.toml:4`, or the name of the variable.
    pub(super) location: String,
    pub(super) layer: Layer,
}

/// Origin of a value; later variants take precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    File,
    /// A variable of messagekit for Python; an unused one is not an error.
    Alias,
    Variable,
}

#[derive(Clone)]
pub(super) enum Form {
    Text(String),
    /// An environment variable: untyped until a setting reads it.
    Word(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Time,
    List(Vec<Value>),
    Table(BTreeMap<String, Value>),
}

impl Value {
    /// Returns the text.
    ///
    /// # Errors
    /// Human-readable description of what was found instead.
    pub fn text(&self) -> Result<&str, String> {
        match &self.form {
            Form::Text(text) | Form::Word(text) => Ok(text),
            Form::Integer(_) | Form::Float(_) | Form::Boolean(_) | Form::Time => {
                Err(format!("{}: put it in quotes", self.instead_of("a text")))
            }
            Form::List(_) | Form::Table(_) => Err(self.instead_of("a text")),
        }
    }

    /// Returns the whole number, or `None` for everything else.
    pub fn integer(&self) -> Option<i128> {
        match &self.form {
            Form::Integer(number) => Some(*number),
            Form::Word(word) => word.trim().parse().ok(),
            _ => None,
        }
    }

    /// Returns the number, or `None` for everything else.
    pub fn number(&self) -> Option<f64> {
        match &self.form {
            Form::Integer(number) => Some(*number as f64),
            Form::Float(number) => Some(*number),
            Form::Word(word) => word.trim().parse().ok(),
            _ => None,
        }
    }

    /// Returns the truth value, or `None` for everything else. A variable holds true, yes, on, 1 or their opposites.
    pub fn truth(&self) -> Option<bool> {
        match &self.form {
            Form::Boolean(truth) => Some(*truth),
            Form::Word(word) => match &*word.trim().to_ascii_lowercase() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the entries, or `None` if the value is not a list. A variable separates them with commas.
    pub fn list(&self) -> Option<Vec<Value>> {
        match &self.form {
            Form::List(entries) => Some(entries.clone()),
            Form::Word(words) => {
                let word = |word: &str| Self { form: Form::Word(word.trim().to_owned()), ..self.clone() };
                Some(words.split(',').filter(|word| !word.trim().is_empty()).map(word).collect())
            }
            _ => None,
        }
    }

    /// Returns the keys and values, or `None` if the value is not a table.
    pub fn table(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.form {
            Form::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// Formats a mismatch: `expected a text, found 5`.
    pub fn instead_of(&self, expected: &str) -> String {
        let found = match &self.form {
            Form::Text(text) | Form::Word(text) => quoted(text),
            Form::Integer(number) => number.to_string(),
            Form::Float(number) => number.to_string(),
            Form::Boolean(truth) => truth.to_string(),
            Form::Time => "a time".to_owned(),
            Form::List(_) => "a list".to_owned(),
            Form::Table(_) => "a table".to_owned(),
        };
        format!("expected {expected}, found {found}")
    }
}

impl std::fmt::Debug for Value {
    /// Shows the location and no value: the value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value").field("location", &self.location).finish_non_exhaustive()
    }
}

/// Quotes a value unless it may hold a password: a misplaced URL is not repeated.
fn quoted(text: &str) -> String {
    if text.len() > 64 || text.contains(['@', '=']) || text.contains("://") {
        "another text".to_owned()
    } else {
        format!("{text:?}")
    }
}
