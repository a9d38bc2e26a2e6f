//! Output of values on a terminal and in JSON.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use messagekit::{Error, ErrorKind};
use serde_json::{Value, json};

/// Prints one answer. Ignores a closed stdout: the reader may have exited, as in `… | head -1`.
pub(crate) fn print(answer: impl std::fmt::Display) -> Result<(), Error> {
    match writeln!(io::stdout(), "{answer}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Unavailable, "the answer cannot be printed").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Replaces characters that move the cursor or change the reading direction: keys, types and errors are foreign text.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if hostile(character) { '\u{fffd}' } else { character }).collect()
}

/// Returns bytes as text if they are UTF-8, otherwise as hexadecimal digits.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable(text),
        Err(_) => format!("0x{}", hex(bytes)),
    }
}

/// Returns bytes as a JSON string if they are UTF-8, otherwise as `{"hex": "…"}`.
pub(crate) fn json_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a table as wide as the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table
}

/// Returns a count in groups of three digits.
pub(crate) fn number(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}
