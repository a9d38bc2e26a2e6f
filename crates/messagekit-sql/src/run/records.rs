//! Records that statements consume, acknowledge and reset.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit::ErrorKind;
use messagekit::log::PartitionStart;
use messagekit_topics::Error;
use messagekit_topics::operations::{
    ConsumeRequest, ConsumedRecord, DeletedOffsets, Settle, TopicOperations,
};
use serde_json::{Value, json};

use super::answer::{Answer, ColumnType};
use super::refusal::refused;
use crate::{Acknowledge, Consume, DropGroup, ResetGroup};

const CONSUMED: [(&str, ColumnType); 8] = [
    ("topic_id", ColumnType::Text),
    ("partition_id", ColumnType::Int),
    ("offset", ColumnType::BigInt),
    ("key", ColumnType::Text),
    ("payload", ColumnType::Binary),
    ("timestamp_ms", ColumnType::BigInt),
    ("user_id", ColumnType::Text),
    ("op", ColumnType::Text),
];

const ACKNOWLEDGED: [(&str, ColumnType); 4] = [
    ("topic", ColumnType::Text),
    ("group_id", ColumnType::Text),
    ("partition", ColumnType::Int),
    ("committed_offset", ColumnType::BigInt),
];

const RESET: [(&str, ColumnType); 4] = [
    ("topic", ColumnType::Text),
    ("group_id", ColumnType::Text),
    ("partition", ColumnType::Int),
    ("next_offset", ColumnType::BigInt),
];

const DROPPED: [(&str, ColumnType); 3] =
    [("topic", ColumnType::Text), ("group_id", ColumnType::Text), ("dropped", ColumnType::Boolean)];

/// The most bytes of the payloads of an answer, after which nothing more is claimed.
const MAX_BYTES: usize = 8 << 20;

/// A claim is of one partition, so a group claims until the limit is reached or nothing is left.
pub(super) async fn consume(topics: &dyn TopicOperations, consume: &Consume) -> Result<Answer, Error> {
    let limit = consume.limit.unwrap_or(100).min(ConsumeRequest::MAX_LIMIT);
    let mut request =
        ConsumeRequest::of(consume.topic.clone()).start(consume.start.unwrap_or(PartitionStart::End));
    request.group = consume.group.as_deref().map(Into::into);
    request.partition = consume.partition;
    let (mut rows, mut bytes, mut deleted) = (Vec::new(), 0, Vec::new());
    while rows.len() < limit as usize && bytes < MAX_BYTES {
        let room = limit - u32::try_from(rows.len()).unwrap_or(limit);
        let consumed = match topics.consume(&request.clone().limit(room)).await {
            // What is claimed already would be lost until its lease ends.
            Err(_) if !rows.is_empty() => break,
            consumed => consumed?,
        };
        let failed = consumed.claim.as_ref().filter(|claim| claim.id.is_of_failed_message());
        if let (Some(claim), Some(group), false) = (failed, &consume.group, rows.is_empty()) {
            // It needs an answer of its own, because ACK names the records of one claim.
            let settle =
                Settle::all(consume.topic.clone(), group.as_str(), claim.partition, claim.id.clone());
            topics.release(&settle).await?;
            break;
        }
        let is_alone = failed.is_some();
        deleted.extend(consumed.deleted);
        rows.extend(consumed.records.iter().map(row));
        bytes += consumed.records.iter().map(|record| record.payload.len()).sum::<usize>();
        if consumed.records.is_empty() || request.group.is_none() || is_alone {
            break;
        }
    }
    let message = (!deleted.is_empty()).then(|| overtaken(&deleted));
    Ok(Answer { message, ..Answer::of(&CONSUMED, rows) })
}

/// Returns the sentence about records that the group will not see.
fn overtaken(deleted: &[DeletedOffsets]) -> String {
    let part = |(partition, offsets): &DeletedOffsets| {
        format!("{} to {} of partition {partition}", offsets.start, offsets.end - 1)
    };
    let parts: Vec<String> = deleted.iter().map(part).collect();
    format!("records were deleted before the group settled them: offsets {}", parts.join(", "))
}

fn row(record: &ConsumedRecord) -> Vec<Value> {
    vec![
        json!(record.topic),
        json!(record.partition),
        json!(record.offset),
        json!(record.key),
        json!(STANDARD.encode(&record.payload)),
        json!(record.timestamp.as_millisecond()),
        json!(record.actor),
        json!(record.operation.as_str()),
    ]
}

pub(super) async fn acknowledge(
    topics: &dyn TopicOperations,
    acknowledge: &Acknowledge,
) -> Result<Answer, Error> {
    let Acknowledge { topic, group, partition, up_to } = acknowledge;
    let partition = match partition {
        Some(partition) => *partition,
        None => match topics.bounds(topic).await?.as_slice() {
            [only] => only.partition,
            _ => {
                let text = "topic has several partitions, each with offsets of its own: write PARTITION p before UPTO";
                return Err(refused(ErrorKind::WrongState, text, topic));
            }
        },
    };
    let next = topics.acknowledge_up_to(topic, group, partition, *up_to).await?;
    let committed = (next > 0).then(|| next - 1);
    Ok(Answer::of(
        &ACKNOWLEDGED,
        vec![vec![json!(&**topic), json!(group), json!(partition), json!(committed)]],
    ))
}

pub(super) async fn reset(topics: &dyn TopicOperations, reset: &ResetGroup) -> Result<Answer, Error> {
    let ResetGroup { group, topic, partition, to } = reset;
    let moved = topics.reset(topic, group, *partition, *to).await?;
    let row = |(partition, next)| vec![json!(&**topic), json!(group), json!(partition), json!(next)];
    Ok(Answer::of(&RESET, moved.into_iter().map(row).collect()))
}

pub(super) async fn drop_group(topics: &dyn TopicOperations, drop: &DropGroup) -> Result<Answer, Error> {
    let DropGroup { group, topic, if_exists } = drop;
    let is_dropped = topics.drop_group(topic, group).await?;
    if !is_dropped && !if_exists {
        return Err(refused(ErrorKind::NotFound, "topic has no such group", topic));
    }
    Ok(Answer::of(&DROPPED, vec![vec![json!(&**topic), json!(group), json!(is_dropped)]]))
}
