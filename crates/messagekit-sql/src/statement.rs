//! Parses one statement, or several.

use std::str::FromStr;

use crate::command::Command;
use crate::cursor::Cursor;
use crate::error::SyntaxError;
use crate::lexer::Lexer;
use crate::token::{Token, TokenKind};
use crate::{consume, select, topic};

/// Parses a text that is exactly one statement. A semicolon may stand behind it.
///
/// # Errors
/// [`SyntaxError`] for any other text, with the first token that does not fit.
pub fn parse(text: &str) -> Result<Command, SyntaxError> {
    let mut lexer = Lexer::new(text)?;
    let command = command(text, &lexer.statement()?)?;
    while !lexer.is_at_end() {
        let tokens = lexer.statement()?;
        let next = Cursor::new(text, &tokens);
        if next.peek().kind != TokenKind::End {
            let error = next.wrong(next.peek(), "one statement".to_owned(), next.peek().shown());
            return Err(error.with_cure("run several statements as a script"));
        }
    }
    Ok(command)
}

/// Parses a text of any number of statements with semicolons between them. Blank ones are passed over, and a text may have none.
///
/// # Errors
/// [`SyntaxError`] for the first statement that is none. Its position is that in the whole text.
pub fn parse_script(text: &str) -> Result<Vec<Command>, SyntaxError> {
    let mut lexer = Lexer::new(text)?;
    let mut commands = Vec::new();
    while !lexer.is_at_end() {
        let tokens = lexer.statement()?;
        if tokens.len() > 1 {
            commands.push(command(lexer.text(), &tokens)?);
        }
    }
    Ok(commands)
}

impl FromStr for Command {
    type Err = SyntaxError;

    /// As [`parse`].
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        parse(text)
    }
}

/// Parses all tokens of a statement.
fn command(text: &str, tokens: &[Token<'_>]) -> Result<Command, SyntaxError> {
    let mut cursor = Cursor::new(text, tokens);
    let command = statement(&mut cursor)?;
    cursor.expect_end()?;
    Ok(command)
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if cursor.eat("CREATE") {
        topic::create(cursor)
    } else if cursor.eat("ALTER") {
        topic::alter(cursor)
    } else if cursor.eat("DROP") {
        topic::drop(cursor)
    } else if cursor.eat("CLEAR") {
        topic::clear(cursor)
    } else if cursor.eat("CONSUME") {
        consume::consume(cursor)
    } else if cursor.eat("ACK") {
        consume::acknowledge(cursor)
    } else if cursor.eat("RESET") {
        consume::reset(cursor)
    } else if cursor.eat("SHOW") {
        select::show(cursor)
    } else if cursor.eat("SELECT") {
        select::select(cursor)
    } else {
        let (first, error) = (cursor.peek(), cursor.unexpected());
        let is_write = ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| first.is_keyword(word));
        let cure = "statements here are about topics: write rows with a client of the database";
        Err(if is_write { error.with_cure(cure) } else { error })
    }
}
