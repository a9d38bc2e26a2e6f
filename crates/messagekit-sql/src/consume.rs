//! The statements of consumers.

use messagekit_wire::{Consume, Start};

use crate::command::{Acknowledge, Command, DropGroup, ResetGroup};
use crate::cursor::Cursor;
use crate::error::SyntaxError;

const GROUP: &str = "the name of a group in single quotes";
const OFFSET: &str = "an offset from 0 to 9223372036854775807";
const PARTITION: &str = "a partition from 0 to 2147483647";
pub(crate) const LIMIT: &str = "a number from 0 to 4294967295";

/// Reads what stands behind `CONSUME`.
pub(crate) fn consume(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    cursor.expect("FROM")?;
    let topic = cursor.topic()?;
    let mut consume = Consume::of(&*topic);
    loop {
        if cursor.eat_clause("PARTITION", consume.partition_id.is_some())? {
            consume.partition_id = Some(cursor.number(PARTITION)?);
        } else if cursor.eat_clause("GROUP", consume.group_id.is_some())? {
            consume.group_id = Some(cursor.string(GROUP)?);
        } else if cursor.eat_clause("FROM", consume.start.is_some())? {
            consume.start = Some(start(cursor)?);
        } else if cursor.eat_clause("LIMIT", consume.limit.is_some())? {
            consume.limit = Some(cursor.number(LIMIT)?);
        } else {
            return Ok(Command::Consume(consume));
        }
    }
}

/// Reads what stands behind `ACK`.
pub(crate) fn acknowledge(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    let topic = cursor.topic()?;
    let (mut group, mut partition) = (None, None);
    loop {
        if cursor.eat_clause("GROUP", group.is_some())? {
            group = Some(cursor.string(GROUP)?);
        } else if cursor.eat_clause("PARTITION", partition.is_some())? {
            partition = Some(cursor.number(PARTITION)?);
        } else {
            // Without a group it is the next thing that is expected, and not what stands behind it.
            let Some(group) = group else { return Err(cursor.unexpected()) };
            cursor.expect("UPTO")?;
            cursor.expect("OFFSET")?;
            let up_to = cursor.number(OFFSET)?;
            return Ok(Command::Acknowledge(Acknowledge { topic, group, partition, up_to }));
        }
    }
}

/// Reads what stands behind `RESET`.
pub(crate) fn reset(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    cursor.expect("CONSUMER")?;
    cursor.expect("GROUP")?;
    let group = cursor.string(GROUP)?;
    cursor.expect("ON")?;
    let topic = cursor.topic()?;
    let partition = if cursor.eat("PARTITION") { Some(cursor.number(PARTITION)?) } else { None };
    cursor.expect("TO")?;
    Ok(Command::ResetGroup(ResetGroup { group, topic, partition, to: start(cursor)? }))
}

/// Reads what stands behind `DROP CONSUMER`.
pub(crate) fn drop_group(cursor: &mut Cursor<'_>) -> Result<DropGroup, SyntaxError> {
    cursor.expect("GROUP")?;
    let if_exists = cursor.eat_if_exists();
    let group = cursor.string(GROUP)?;
    cursor.expect("ON")?;
    Ok(DropGroup { group, topic: cursor.topic()?, if_exists })
}

fn start(cursor: &mut Cursor<'_>) -> Result<Start, SyntaxError> {
    if cursor.eat("LATEST") {
        Ok(Start::Latest)
    } else if cursor.eat("EARLIEST") {
        Ok(Start::Earliest)
    } else {
        cursor.number(OFFSET).map(Start::Offset)
    }
}
