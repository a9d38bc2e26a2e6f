//! `POST /v1/api/topics/latest-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use messagekit::ErrorKind;
use messagekit::log::Bounds;
use messagekit_wire::{LatestOffset, LatestOffsets, Offsets, PartitionOf};

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most partitions of one request.
const MAX_PARTITIONS: usize = 1_000;

/// Ends of partitions
#[utoipa::path(
    post, path = "/v1/api/topics/latest-offsets", tag = "topics", operation_id = "latest_offsets",
    params(Which), request_body = LatestOffsets,
    responses((status = 200, body = Offsets), (status = 404, description = "No such database", body = messagekit_wire::Failure))
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
    let wanted: BTreeSet<PartitionOf> = body.partitions.into_iter().collect();
    let mut known: BTreeMap<&str, Vec<Bounds>> = BTreeMap::new();
    for PartitionOf { topic_id: topic, .. } in &wanted {
        if !known.contains_key(topic.as_str()) {
            let bounds = match topics.bounds(topic).await {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                bounds => bounds.map_err(|error| Failure::of(&error))?,
            };
            known.insert(topic, bounds);
        }
    }
    let offset = |PartitionOf { topic_id, partition_id }: &PartitionOf| {
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
