//! `POST /v1/api/topics/latest-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use messagekit::ErrorKind;
use messagekit::log::Bounds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most partitions of one request.
const MAX_PARTITIONS: usize = 1_000;

/// Partitions whose ends are wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatestOffsets {
    #[schema(value_type = Vec<PartitionOf>)]
    partitions: Vec<Map<String, Value>>,
}

/// A partition of a topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PartitionOf {
    topic_id: String,
    #[serde(default)]
    partition_id: i32,
}

/// The ends of partitions, sorted, each once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Offsets {
    offsets: Vec<LatestOffset>,
}

/// The end of a partition. One that is not there has no record.
#[derive(Debug, Serialize, ToSchema)]
struct LatestOffset {
    topic_id: String,
    partition_id: i32,
    /// The offset of the last record that was appended, if there was any.
    last_offset: Option<i64>,
    next_offset: i64,
}

/// Ends of partitions
#[utoipa::path(
    post, path = "/v1/api/topics/latest-offsets", tag = "topics", operation_id = "latest_offsets",
    params(Which), request_body = LatestOffsets,
    responses((status = 200, body = Offsets), (status = 404, description = "No such database", body = Failure))
)]
pub(super) async fn latest_offsets(
    State(app): State<App>,
    Query(which): Query<Which>,
    Body(body): Body<LatestOffsets>,
) -> Result<Json<Offsets>, Failure> {
    if body.partitions.len() > MAX_PARTITIONS {
        return Err(Failure::bad_request(format!("more than {MAX_PARTITIONS} partitions")));
    }
    let topics = topics(&app, &which)?;
    let wanted = body.partitions.into_iter().map(|partition| {
        let read: Result<PartitionOf, _> = serde_json::from_value(Value::Object(partition));
        let PartitionOf { topic_id, partition_id } =
            read.map_err(|_| Failure::bad_request("a partition is not {topic_id, partition_id}"))?;
        Ok((topic_id, partition_id))
    });
    let wanted: BTreeSet<(String, i32)> = wanted.collect::<Result<_, Failure>>()?;
    let mut known: BTreeMap<&str, Vec<Bounds>> = BTreeMap::new();
    for (topic, _) in &wanted {
        if !known.contains_key(topic.as_str()) {
            let bounds = match topics.bounds(topic).await {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                bounds => bounds.map_err(|error| Failure::of(&error))?,
            };
            known.insert(topic, bounds);
        }
    }
    let offset = |(topic_id, partition_id): &(String, i32)| {
        let bounds = known
            .get(topic_id.as_str())
            .and_then(|partitions| partitions.iter().find(|bounds| bounds.partition == *partition_id));
        let next_offset = bounds.map_or(0, |bounds| bounds.end);
        LatestOffset {
            topic_id: topic_id.clone(),
            partition_id: *partition_id,
            last_offset: (next_offset > 0).then(|| next_offset - 1),
            next_offset,
        }
    };
    Ok(Json(Offsets { offsets: wanted.iter().map(offset).collect() }))
}
