//! The statements that make, change and drop topics.

use std::num::NonZeroU32;
use std::sync::Arc;

use messagekit_topic_store::OnSources;

use crate::command::{Command, CreateTopic, DropTopic, RetentionOptions};
use crate::consume::drop_group;
use crate::cursor::Cursor;
use crate::error::SyntaxError;
use crate::options::{boolean, options};
use crate::source::{add_source, drop_source};

const PARTITIONS: &str = "a number from 1 to 4294967295";

/// Reads what stands behind `CREATE`.
pub(crate) fn create(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if !cursor.eat("TOPIC") {
        let (next, error) = (cursor.peek(), cursor.unexpected());
        return Err(if next.is_keyword("TRIGGER") {
            error.with_cure("code that runs for each record is a consumer here")
        } else if next.is_keyword("NAMESPACE") {
            error.with_cure("the name of a topic begins with its namespace, which needs no statement")
        } else {
            error
        });
    }
    let if_not_exists = cursor.peek().is_keyword("IF") && cursor.peek_at(1).is_keyword("NOT");
    if if_not_exists {
        cursor.take();
        cursor.take();
        cursor.expect("EXISTS")?;
    }
    let mut created = CreateTopic {
        topic: cursor.topic()?,
        if_not_exists,
        partitions: None,
        retention: RetentionOptions::default(),
        key: None,
        dedup: Vec::new(),
        is_published: false,
    };
    let mut has_options = false;
    loop {
        if cursor.eat_clause("PARTITIONS", created.partitions.is_some())? {
            created.partitions = Some(cursor.number::<NonZeroU32>(PARTITIONS)?);
        } else if cursor.eat_clause("WITH", has_options)? {
            has_options = true;
            creation_options(cursor, &mut created)?;
        } else {
            return Ok(Command::CreateTopic(created));
        }
    }
}

fn creation_options(cursor: &mut Cursor<'_>, created: &mut CreateTopic) -> Result<(), SyntaxError> {
    let names = [&RetentionOptions::NAMES[..], &["key", "dedup", "published"]].concat();
    options(cursor, &names, |cursor, name| {
        match name {
            "key" => created.key = Some(cursor.string("a field in single quotes")?),
            "dedup" => created.dedup = fields(cursor)?,
            "published" => created.is_published = boolean(cursor)?,
            _ => created.retention.take(cursor, name)?,
        }
        Ok(())
    })
}

/// Takes one string, or several in parentheses, each another one.
fn fields(cursor: &mut Cursor<'_>) -> Result<Vec<String>, SyntaxError> {
    const LABEL: &str = "a field in single quotes";
    if !cursor.eat_symbol("(") {
        return Ok(vec![cursor.string(LABEL)?]);
    }
    let mut fields = Vec::new();
    loop {
        let token = cursor.peek();
        let field = cursor.string(LABEL)?;
        if fields.contains(&field) {
            return Err(cursor.wrong(
                token,
                "each field once".to_owned(),
                format!("a second {}", token.shown()),
            ));
        }
        fields.push(field);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol(")")?;
            return Ok(fields);
        }
    }
}

/// Reads what stands behind `ALTER`.
pub(crate) fn alter(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    cursor.expect("TOPIC")?;
    let topic = cursor.topic()?;
    if cursor.eat("ADD") {
        add_source(cursor, topic).map(Command::AddSource)
    } else if cursor.eat("DROP") {
        drop_source(cursor, topic).map(Command::DropSource)
    } else if cursor.eat("SET") {
        set_retention(cursor, topic)
    } else if cursor.eat("CLEAR") {
        cursor.expect("RETENTION")?;
        Ok(Command::ClearRetention { topic })
    } else {
        Err(cursor.unexpected())
    }
}

fn set_retention(cursor: &mut Cursor<'_>, topic: Arc<str>) -> Result<Command, SyntaxError> {
    cursor.expect("RETENTION")?;
    cursor.expect("WITH")?;
    let mut retention = RetentionOptions::default();
    options(cursor, &RetentionOptions::NAMES, |cursor, name| retention.take(cursor, name))?;
    Ok(Command::SetRetention { topic, retention })
}

/// Reads what stands behind `DROP`.
pub(crate) fn drop(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if cursor.eat("CONSUMER") {
        return drop_group(cursor).map(Command::DropGroup);
    }
    cursor.expect("TOPIC")?;
    let if_exists = cursor.eat_if_exists();
    let topic = cursor.topic()?;
    let on_sources = if cursor.eat("CASCADE") { OnSources::Drop } else { OnSources::Refuse };
    Ok(Command::DropTopic(DropTopic { topic, if_exists, on_sources }))
}

/// Reads what stands behind `CLEAR`.
pub(crate) fn clear(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    cursor.expect("TOPIC")?;
    Ok(Command::ClearTopic { topic: cursor.topic()? })
}
