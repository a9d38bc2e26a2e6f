//! Finds where an expression over a row ends, and checks that it is one.
//!
//! What it may hold is decided where it is compiled for a database. Here it is one expression in the SQL of PostgreSQL or of SQLite, so that
//! no clause of the statement is lost in it.

use messagekit_topics::operations::expression_tree;
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::ParserError;

use crate::cursor::{Cursor, either};
use crate::error::SyntaxError;
use crate::limits::MAX_EXPRESSION_BYTES;
use crate::token::{Token, TokenKind, quoted};

const LABEL: &str = "an expression over the columns of a row";

/// What ends an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The next clause of the statement.
    Clause,
    /// A parenthesis that was opened before it.
    Parentheses,
}

/// Takes one expression, without its comments.
pub(crate) fn expression(cursor: &mut Cursor<'_>, extent: Extent) -> Result<String, SyntaxError> {
    let written = Written::take(cursor, extent);
    let Some(first) = written.tokens.first() else { return Err(cursor.expecting(LABEL)) };
    if written.text.len() > MAX_EXPRESSION_BYTES {
        let (found, expected) = (
            format!("{} bytes", written.text.len()),
            format!("an expression of at most {MAX_EXPRESSION_BYTES} bytes"),
        );
        return Err(cursor.wrong(first.1, expected, found));
    }
    match expression_tree(&PostgreSqlDialect {}, &written.text) {
        Ok(_) => Ok(written.text),
        Err(_) if expression_tree(&SQLiteDialect {}, &written.text).is_ok() => Ok(written.text),
        Err(error) => Err(written.wrong(cursor, &error)),
    }
}

/// An expression as it is written.
struct Written<'a> {
    text: String,
    /// Its tokens, each with its byte in that text.
    tokens: Vec<(usize, Token<'a>)>,
}

impl<'a> Written<'a> {
    fn take(cursor: &mut Cursor<'a>, extent: Extent) -> Self {
        let (mut text, mut tokens, mut depth) = (String::new(), Vec::<(usize, Token<'a>)>::new(), 0_usize);
        while !ends(cursor, extent, depth) {
            let token = cursor.take();
            depth = match token.text {
                "(" => depth + 1,
                ")" => depth.saturating_sub(1),
                _ => depth,
            };
            if let Some((_, last)) = tokens.last() {
                let gap = &cursor.text()[last.end()..token.offset];
                let is_plain = gap.bytes().all(|byte| b" \t\r\n".contains(&byte));
                text.push_str(if is_plain { gap } else { " " });
            }
            tokens.push((text.len(), token));
            text.push_str(token.text);
        }
        Self { text, tokens }
    }

    /// Points at the token at which the parser gave up.
    fn wrong(&self, cursor: &Cursor<'_>, error: &ParserError) -> SyntaxError {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
            ParserError::RecursionLimitExceeded => {
                "Expected: an expression with fewer operators on each other, found:"
            }
        };
        let offset = location(message).and_then(|(line, column)| byte_at(&self.text, line, column));
        let at =
            |offset| self.tokens.iter().rev().find(|(start, _)| *start <= offset).map(|(_, token)| *token);
        let is_deep = matches!(error, ParserError::RecursionLimitExceeded);
        let token = match offset.or(is_deep.then_some(0)) {
            Some(offset) => at(offset).unwrap_or_else(|| cursor.peek()),
            None => cursor.peek(),
        };
        let expected = message
            .strip_prefix("Expected: ")
            .and_then(|rest| rest.split_once(", found:"))
            .map_or(LABEL, |(expected, _)| expected)
            .replace("EOF", "the end of the expression");
        let found = if is_deep { quoted(&self.text) } else { token.shown() };
        cursor.wrong(token, either(&[&expected]), found)
    }
}

/// Returns whether the next token stands behind the expression.
fn ends(cursor: &Cursor<'_>, extent: Extent, depth: usize) -> bool {
    let (token, next) = (cursor.peek(), cursor.peek_at(1));
    if token.kind == TokenKind::End {
        return true;
    }
    if depth > 0 {
        return false;
    }
    match extent {
        Extent::Parentheses => token.is_symbol(")"),
        Extent::Clause => {
            token.is_keyword("WHERE")
                // `timestamp WITH TIME ZONE` is the name of a type.
                || token.is_keyword("WITH") && !next.is_keyword("TIME")
                || token.is_keyword("PARTITION") && next.is_keyword("BY")
        }
    }
}

/// Returns the line and column at the end of a message, if it has them.
fn location(message: &str) -> Option<(usize, usize)> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// Returns the byte of a line and column, both from 1.
fn byte_at(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let behind = text.get(start..)?.char_indices().nth(column.checked_sub(1)?)?.0;
    Some(start + behind)
}
