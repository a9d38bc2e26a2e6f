//! Reads the configuration file.

use std::collections::BTreeMap;
use std::ops::Range;

use messagekit::{Error, ErrorKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Form, Layer, Value};

/// Parses a file's text; locations show `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<BTreeMap<String, Value>, Error> {
    let (root, mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        // The parser's own text quotes the line, which may hold a password.
        let texts = mistakes.iter().map(|mistake| {
            let (line, column) = position(text, mistake.span().unwrap_or_default().start);
            let message = mistake.message().replace('\n', ", ");
            format!("{name}:{line}:{column}: {message}")
        });
        let texts = texts.collect::<Vec<_>>().join("; ");
        return Err(Error::new(ErrorKind::InvalidConfiguration, format!("not TOML: {texts}")));
    }
    let lines = Lines { name, text };
    Ok(lines.table(root.into_inner()))
}

struct Lines<'a> {
    name: &'a str,
    text: &'a str,
}

impl Lines<'_> {
    fn table(&self, table: DeTable<'_>) -> BTreeMap<String, Value> {
        table
            .into_iter()
            .map(|(key, value)| {
                // Use the line of the key: a value may begin on a later line.
                let location = self.location(key.span());
                (key.into_inner().into_owned(), self.value(value, location))
            })
            .collect()
    }

    fn value(&self, value: Spanned<DeValue<'_>>, location: String) -> Value {
        let form = match value.into_inner() {
            DeValue::String(text) => Form::Text(text.into_owned()),
            // Keep a number beyond every integer type as text, which lets the error show it.
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(whole) => Form::Integer(whole),
                Err(_) => Form::Text(number.to_string()),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Form::Float(number),
                Err(_) => Form::Text(number.to_string()),
            },
            DeValue::Boolean(truth) => Form::Boolean(truth),
            DeValue::Datetime(_) => Form::Time,
            DeValue::Array(entries) => {
                let entry = |entry: Spanned<DeValue<'_>>| {
                    let location = self.location(entry.span());
                    self.value(entry, location)
                };
                Form::List(entries.into_iter().map(entry).collect())
            }
            DeValue::Table(table) => Form::Table(self.table(table)),
        };
        Value { form, location, layer: Layer::File }
    }

    fn location(&self, span: Range<usize>) -> String {
        format!("{}:{}", self.name, position(self.text, span.start).0)
    }
}

/// Returns line and column of a byte, both from 1; the column counts characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    (line, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}
