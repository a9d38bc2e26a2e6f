//! Position of a record.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Identifies a record in a log, for people and tables; settling does not use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, counted from 0.
    pub partition: i32,
    /// The offset inside the partition, counted from 0.
    pub offset: i64,
}

/// A partition and an offset in a document of an operator; the topic has its own field there.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Place {
    /// The partition; null without a position.
    partition: Option<i32>,
    /// The offset in the partition; null without a position.
    offset: Option<i64>,
}

/// Serialises a position as a [`Place`].
pub(crate) fn serialize_place<S: Serializer>(
    position: &Option<Position>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (partition, offset) = position.as_ref().map(|at| (at.partition, at.offset)).unzip();
    Place { partition, offset }.serialize(serializer)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}
