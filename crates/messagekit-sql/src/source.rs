//! The statements about table sources.

use std::sync::Arc;

use messagekit::log::{Change, Changes, OnSourceFailure, RowPayload};
use messagekit_topics::operations::NewSource;

use crate::command::DropSource;
use crate::cursor::Cursor;
use crate::error::SyntaxError;
use crate::expression::{Extent, expression};
use crate::options::options;

/// Reads what stands behind `ALTER TOPIC topic ADD`.
pub(crate) fn add_source(cursor: &mut Cursor<'_>, topic: Arc<str>) -> Result<NewSource, SyntaxError> {
    let replaces = cursor.eat("OR");
    if replaces {
        cursor.expect("REPLACE")?;
    }
    cursor.expect("SOURCE")?;
    let mut source = NewSource { replaces, ..NewSource::of(topic, table(cursor)?) };
    source.changes = changes(cursor)?;
    let mut has_options = false;
    loop {
        if cursor.eat_clause("WHERE", source.filter.is_some())? {
            source.filter = Some(expression(cursor, Extent::Clause)?);
        } else if cursor.eat_clause("PARTITION", source.key.is_some())? {
            cursor.expect("BY")?;
            cursor.expect_symbol("(")?;
            source.key = Some(expression(cursor, Extent::Parentheses)?);
            cursor.expect_symbol(")")?;
        } else if cursor.eat_clause("WITH", has_options)? {
            has_options = true;
            source_options(cursor, &mut source)?;
        } else {
            return Ok(source);
        }
    }
}

fn source_options(cursor: &mut Cursor<'_>, source: &mut NewSource) -> Result<(), SyntaxError> {
    options(cursor, &["payload", "on_failure"], |cursor, name| {
        let word = cursor.peek().content();
        if name == "payload" {
            let known = RowPayload::ALL.into_iter().find(|payload| payload.as_str() == word);
            source.payload = choice(cursor, known, "'key', 'full' or 'diff'")?;
        } else {
            let known = OnSourceFailure::ALL.into_iter().find(|choice| choice.as_str() == word);
            source.on_failure = choice(cursor, known, "'fail' or 'set-aside'")?;
        }
        Ok(())
    })
    .map_err(|error| match error.found().eq_ignore_ascii_case("`name`") {
        true => error.with_cure("a source has no name of its own: it is known by its topic and its table"),
        false => error,
    })
}

/// Takes a string that is one of some words.
fn choice<T>(cursor: &mut Cursor<'_>, known: Option<T>, label: &'static str) -> Result<T, SyntaxError> {
    let token = cursor.peek();
    cursor.string(label)?;
    known.ok_or_else(|| cursor.wrong(token, label.to_owned(), token.shown()))
}

/// Reads what stands behind `ALTER TOPIC topic DROP`.
pub(crate) fn drop_source(cursor: &mut Cursor<'_>, topic: Arc<str>) -> Result<DropSource, SyntaxError> {
    cursor.expect("SOURCE")?;
    let table = table(cursor)?;
    if cursor.peek().is_keyword("ON") {
        let error = cursor.expecting("the end of the statement");
        return Err(error.with_cure(
            "a source is dropped as a whole: ADD OR REPLACE SOURCE gives it the changes that are to stay",
        ));
    }
    Ok(DropSource { topic, table })
}

/// Takes a table, perhaps behind its schema, as it is written: a database reads a quoted name in another way than a bare one.
fn table(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let first = cursor.peek();
    let (parts, _) = cursor.dotted("the name of a table")?;
    let is_bad = |text: &str| text == "\"\"" || text.contains(char::is_control);
    if let Some(part) = parts.iter().find(|part| is_bad(part.text)) {
        let expected = "a name that is not empty, and has no control characters".to_owned();
        return Err(cursor.wrong(*part, expected, part.shown()));
    }
    if parts.len() > 2 {
        let expected = "a table, or a schema and a table".to_owned();
        return Err(cursor.wrong(first, expected, format!("{} names", parts.len())));
    }
    Ok(parts.iter().map(|part| part.text).collect::<Vec<_>>().join("."))
}

/// Takes `ON` and kinds of changes, each at most once.
fn changes(cursor: &mut Cursor<'_>) -> Result<Changes, SyntaxError> {
    const KINDS: [(&str, Change); 3] =
        [("INSERT", Change::Insert), ("UPDATE", Change::Update), ("DELETE", Change::Delete)];
    cursor.expect("ON")?;
    let mut changes = Changes::default();
    loop {
        let token = cursor.peek();
        let Some((_, change)) = KINDS.into_iter().find(|(keyword, _)| cursor.eat(keyword)) else {
            return Err(cursor.unexpected());
        };
        if changes | change == changes {
            let expected = "each kind of change once".to_owned();
            return Err(cursor.wrong(token, expected, format!("a second {}", token.shown())));
        }
        changes = changes | change;
        if !cursor.eat_symbol(",") {
            return Ok(changes);
        }
    }
}
