//! How values appear on a terminal and in JSON.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use messagekit::{Error, ErrorKind};
use serde_json::{Value, json};

/// Prints one answer. A reader that has left, as in `… | head -1`, is no failure.
pub(crate) fn print(answer: impl std::fmt::Display) -> Result<(), Error> {
    match writeln!(io::stdout(), "{answer}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Unavailable, "the answer cannot be printed").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Replaces what could move the cursor or turn the reading direction: keys, types and errors come from strangers.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if hostile(character) { '\u{fffd}' } else { character }).collect()
}

/// Bytes as text where they are text, else as hexadecimal digits.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable(text),
        Err(_) => format!("0x{}", hex(bytes)),
    }
}

/// Bytes as a JSON string where they are text, else as `{"hex": "…"}`.
pub(crate) fn json_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A table as wide as the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table
}

/// A count in groups of three digits.
pub(crate) fn number(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}
