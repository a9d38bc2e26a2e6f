//! Records that statements consume, acknowledge and reset.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit::ErrorKind;
use messagekit_topic_store::RecordClaimId;
use messagekit_topics::Error;
use messagekit_topics::operations::TopicOperations;
use messagekit_wire::{self as wire, Consume, Deleted, GiveBack, TopicMessage};
use serde_json::{Value, json};

use super::answer::{Answer, ColumnType};
use super::refusal::refused;
use crate::{Acknowledge, DropGroup, ResetGroup};

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

/// The most rows of an answer.
const MAX_ROWS: u32 = 1_000;

/// The most bytes of the payloads of an answer, after which nothing more is claimed.
const MAX_BYTES: usize = 8 << 20;

/// A claim is of one partition, so a group claims until the limit is reached or nothing is left.
pub(super) async fn consume(topics: &dyn TopicOperations, consume: &Consume) -> Result<Answer, Error> {
    let limit = consume.limit.unwrap_or(100).min(MAX_ROWS);
    let (mut rows, mut bytes, mut deleted) = (Vec::new(), 0, Vec::new());
    while rows.len() < limit as usize && bytes < MAX_BYTES {
        let room = limit - u32::try_from(rows.len()).unwrap_or(limit);
        // A statement says nothing else.
        let Consume { topic_id, group_id, partition_id, start, .. } = consume.clone();
        let request = Consume { group_id, partition_id, start, limit: Some(room), ..Consume::of(topic_id) };
        let consumed = match topics.consume(&request, None).await {
            // What is claimed already would be lost until its lease ends.
            Err(_) if !rows.is_empty() => break,
            consumed => consumed?,
        };
        let claim = consumed.claim_id.as_deref().map(RecordClaimId::from_text);
        let is_alone = claim.as_ref().is_some_and(RecordClaimId::is_of_failed_message);
        if let (Some(claim), Some(group), Some(first), true, false) =
            (&claim, &consume.group_id, consumed.messages.first(), is_alone, rows.is_empty())
        {
            // It needs an answer of its own, because ACK names the records of one claim.
            let back = GiveBack::untried(&consume.topic_id, group, first.partition_id, claim.to_string());
            topics.give_back(&back).await?;
            break;
        }
        deleted.extend(consumed.deleted);
        rows.extend(consumed.messages.iter().map(row));
        bytes += consumed.messages.iter().map(|record| record.payload.len()).sum::<usize>();
        if consumed.messages.is_empty() || consume.group_id.is_none() || is_alone {
            break;
        }
    }
    let message = (!deleted.is_empty()).then(|| overtaken(&deleted));
    Ok(Answer { message, ..Answer::of(&CONSUMED, rows) })
}

/// Returns the sentence about records that the group will not see.
fn overtaken(deleted: &[Deleted]) -> String {
    let part = |Deleted { partition_id, from, to }: &Deleted| {
        format!("{from} to {} of partition {partition_id}", to - 1)
    };
    let parts: Vec<String> = deleted.iter().map(part).collect();
    format!("records were deleted before the group settled them: offsets {}", parts.join(", "))
}

fn row(record: &TopicMessage) -> Vec<Value> {
    vec![
        json!(record.topic_id),
        json!(record.partition_id),
        json!(record.offset),
        json!(record.key),
        json!(STANDARD.encode(&record.payload)),
        json!(record.timestamp_ms),
        json!(record.user),
        json!(record.op.to_ascii_lowercase()),
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
    let request = wire::Acknowledge::up_to(&**topic, group, partition, *up_to);
    let committed = topics.acknowledge(&request).await?.acknowledged_offset;
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
