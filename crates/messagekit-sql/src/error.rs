//! What is wrong with a text, and where.

use std::fmt;

/// The most characters of a line that are shown.
const WIDTH: usize = 100;

/// A text that is no statement.
///
/// Its `Display` is one sentence: what was expected, what was found instead, where, and the cure if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    offset: usize,
    line: usize,
    column: usize,
    found: String,
    expected: String,
    cure: Option<String>,
    snippet: String,
}

impl SyntaxError {
    /// Points at some bytes of a text. An offset inside of a character is that of the character.
    pub(crate) fn at(text: &str, offset: usize, length: usize, found: String, expected: String) -> Self {
        let offset = text.floor_char_boundary(offset);
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
        let column = text[line_start..offset].chars().count() + 1;
        let end = text.floor_char_boundary(offset.saturating_add(length)).clamp(offset, line_end);
        let carets = text[offset..end].chars().count();
        Self(Box::new(Details {
            offset,
            line: before.matches('\n').count() + 1,
            column,
            found,
            expected,
            cure: None,
            snippet: snippet(&text[line_start..line_end], column - 1, carets),
        }))
    }

    #[must_use]
    pub(crate) fn with_cure(mut self, cure: impl Into<String>) -> Self {
        self.0.cure = Some(cure.into());
        self
    }

    /// Returns the byte of the text at which the token begins, from 0. It is the boundary of a character.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Returns the line of the token, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// Returns the position of the token in its line, in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// Returns what was found: a token in backticks, cut at 60 characters and without control characters, or words.
    pub fn found(&self) -> &str {
        &self.0.found
    }

    /// Returns what was expected instead.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// Returns what to do, where that is known.
    pub fn cure(&self) -> Option<&str> {
        self.0.cure.as_deref()
    }

    /// Returns the line of the text, and below it a line with carets under the token. A long line is cut, and control characters are
    /// replaced, one by one.
    pub fn snippet(&self) -> &str {
        &self.0.snippet
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { line, column, found, expected, cure, .. } = &*self.0;
        write!(f, "expected {expected}, found {found} at line {line}, column {column}")?;
        cure.iter().try_for_each(|cure| write!(f, ": {cure}"))
    }
}

impl std::error::Error for SyntaxError {}

/// Returns a line, and carets below it from a character on.
fn snippet(line: &str, at: usize, carets: usize) -> String {
    // Two thirds of what is shown stand before the token.
    let skipped = at.saturating_sub(WIDTH * 2 / 3);
    let mut shown = String::new();
    if skipped > 0 {
        shown.push('…');
    }
    let mut rest = line.chars().skip(skipped);
    shown.extend(rest.by_ref().take(WIDTH).map(printable));
    if rest.next().is_some() {
        shown.push('…');
    }
    let before = at - skipped + usize::from(skipped > 0);
    let carets = carets.clamp(1, WIDTH - (at - skipped));
    format!("{}\n{}{}", shown.trim_end(), " ".repeat(before), "^".repeat(carets))
}

/// Returns a character that takes one column, and that a terminal does not obey.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        '\'' | '"' | '\\' => character,
        _ if character.escape_debug().count() > 1 => char::REPLACEMENT_CHARACTER,
        _ => character,
    }
}
