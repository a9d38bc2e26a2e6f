//! `POST /v1/api/topics/latest-offsets`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Partitions whose ends are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LatestOffsets {
    /// At most 1,000.
    #[serde(deserialize_with = "objects")]
    pub partitions: Vec<PartitionOf>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PartitionOf {
    /// The topic.
    pub topic_id: String,
    /// The partition.
    #[serde(default)]
    pub partition_id: i32,
}

/// Reads objects only: serde would read a list as one, field by position.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PartitionOf>, D::Error> {
    let objects: Vec<Map<String, Value>> = Deserialize::deserialize(deserializer)?;
    let partition = |object| {
        serde_json::from_value(Value::Object(object))
            .map_err(|_| D::Error::custom("a partition is not {topic_id, partition_id}"))
    };
    objects.into_iter().map(partition).collect()
}

/// The ends of partitions, sorted, each once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Offsets {
    /// The end of each partition.
    pub offsets: Vec<LatestOffset>,
}

/// The end of a partition. One that is not there has no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LatestOffset {
    /// The topic.
    pub topic_id: String,
    /// The partition.
    pub partition_id: i32,
    /// The offset of the last record that was appended, if there was any.
    pub last_offset: Option<i64>,
    /// The offset of the next record.
    pub next_offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_an_object_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<LatestOffsets>(text).map(|read| read.partitions);
        let one = PartitionOf { topic_id: "shop.orders".into(), partition_id: 0 };
        assert_eq!(read(r#"{"partitions": [{"topic_id": "shop.orders"}]}"#).unwrap(), [one]);
        for wrong in [r#"["shop.orders", 0]"#, r#"{"topic_id": "shop.orders", "zzq": 1}"#, "{}"] {
            assert!(read(&format!(r#"{{"partitions": [{wrong}]}}"#)).is_err(), "{wrong}");
        }
    }
}
