//! Output of values on a terminal and in JSON.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use messagekit::operations::ByteText;
use messagekit::{Error, ErrorKind};
use serde::Serialize;

/// Prints one answer. Ignores a closed stdout: the reader may have exited, as in `… | head -1`.
pub(crate) fn print(answer: impl std::fmt::Display) -> Result<(), Error> {
    match writeln!(io::stdout(), "{answer}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Unavailable, "the answer cannot be printed").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON document.
pub(crate) fn print_json(document: &impl Serialize) -> Result<(), Error> {
    let document = serde_json::to_value(document).map_err(|error| {
        Error::new(ErrorKind::Other, "the answer cannot be written as JSON").caused_by(error)
    })?;
    print(document)
}

/// Returns foreign text of a table cell; empty without one.
pub(crate) fn cell(text: &Option<impl std::fmt::Display>) -> String {
    text.as_ref().map(|text| printable(&text.to_string())).unwrap_or_default()
}

/// Returns a key as its document shows it; empty without one.
pub(crate) fn key(key: &Option<impl AsRef<[u8]>>) -> String {
    cell(&key.as_ref().map(|key| ByteText::of(key.as_ref())))
}

/// Returns whether a character moves the cursor or changes the reading direction.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces hostile characters: keys, types and errors are foreign text.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if is_hostile(character) { '\u{fffd}' } else { character }).collect()
}

/// Returns bytes as text if they are UTF-8, otherwise as hexadecimal digits.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable(text),
        Err(_) => bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// Returns a text of a table cell, or that there is none.
pub(crate) fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { printable(text) }
}

/// Columns whose values are copied into another command; those of messages are long.
const IDS: [&str; 6] = ["event", "correlation", "caused by", "id", "newest", "fingerprint"];
const LONG: usize = 3;

/// A column of words has a character or two per line below this width, with its padding.
const NARROWEST: u16 = 12;

/// Returns a table as wide as the terminal. An id is not broken into lines, so that it can be copied: the other columns give way.
/// Beside several long ids they stay readable, and the table is wider than the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    let is_wide = header.iter().filter(|name| IDS[..LONG].contains(name)).count() > 1;
    for (column, name) in table.column_iter_mut().zip(header) {
        if IDS.contains(name) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        } else if is_wide {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST)));
        }
    }
    table
}

/// Returns a count in groups of three digits.
pub(crate) fn number(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = [
        "01981d2f-6b7e-7c11-9f2e-6f0f3c2b9a01",
        "01981d2f-6b7e-7c11-9f2e-6f0f3c2b9a02",
        "01981d2f-6b7e-7c11-9f2e-6f0f3c2b9a03",
    ];

    #[test]
    fn ids_stay_whole_where_other_columns_wrap() {
        let mut one = table(&["written", "event", "type", "topic", "key", "copies", "bytes"]);
        one.add_row([
            "2026-11-26T09:00:00.000Z",
            IDS[0],
            "orders.order.placed",
            "orders.order",
            "customer-4711",
            "0",
            "120",
        ]);
        let text = one.set_width(100).to_string();
        assert!(text.contains(IDS[0]), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");

        let mut three = table(&["written", "database", "event", "type", "key", "correlation", "caused by"]);
        three.add_row([
            "2026-11-26T09:00:00.000Z",
            "shop",
            IDS[0],
            "orders.order.placed",
            "customer-4711",
            IDS[1],
            IDS[2],
        ]);
        let text = three.set_width(100).to_string();
        assert!(IDS.iter().all(|id| text.contains(id)), "{text}");
        assert!(text.lines().count() <= 10, "the others stay words: {text}");
    }
}
