//! The choice of events to publish again.

use jiff::Timestamp;
use messagekit::operations::EventFilter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::parameters::{NO_TIME, searchable, usable_time};
use crate::problem::Problem;

/// Which events; an omitted field does not restrict them. Times are when a row was written, by the database's clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// Only those of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Only those of this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    topic: Option<String>,
    /// Only those with exactly this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    key: Option<String>,
    /// Only those written at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only those written at or before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

impl Filter {
    /// Returns the filter of the engine.
    pub(super) fn events(self) -> Result<EventFilter, Problem> {
        let text = |name, text: Option<String>| text.map(|text| searchable(name, text)).transpose();
        let time = |name: &str, time: Option<Timestamp>| match time {
            Some(time) if usable_time(time).is_none() => Err(Problem::refused(format!("{name} {NO_TIME}"))),
            time => Ok(time),
        };
        Ok(EventFilter {
            event_type: text("type", self.event_type)?,
            topic: text("topic", self.topic)?,
            key: text("key", self.key)?,
            from: time("from", self.from)?,
            to: time("to", self.to)?,
        })
    }
}

impl From<EventFilter> for Filter {
    fn from(filter: EventFilter) -> Self {
        let EventFilter { event_type, topic, key, from, to } = filter;
        Self { event_type, topic, key, from, to }
    }
}
