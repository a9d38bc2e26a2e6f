//! Which events to find.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::MessageId;
use messagekit::operations::{EventFilter, LinkedEvent};
use utoipa::IntoParams;

use crate::page::{LIMIT, MAX_LIMIT};
use crate::parameters::{FromParameters, Parameters};
use crate::problem::Problem;

/// How far back a search without a correlation goes by default.
const SINCE: Duration = Duration::from_secs(3_600);

/// Which events. Without a correlation, a search begins at `since` and reads the events written from then on.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FindQuery {
    /// Only those of this correlation: the event of this id, and all that name it.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    correlation: Option<MessageId>,
    /// Only those with exactly this key.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    key: Option<String>,
    /// Only those of this type.
    #[param(rename = "type", max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Only those of this topic.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    topic: Option<String>,
    /// Only those written at or after this time; an hour ago by default, and any time with a correlation.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those written at or before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The most events; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl FromParameters for FindQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let correlation = parameters.text("correlation")?.map(|id| {
            id.parse().map_err(|_| Problem::refused("parameter correlation is not the id of an event"))
        });
        Ok(Self {
            correlation: correlation.transpose()?,
            key: parameters.text("key")?,
            event_type: parameters.text("type")?,
            topic: parameters.text("topic")?,
            since: parameters.time("since")?,
            until: parameters.time("until")?,
            limit: parameters.number("limit", 1..=MAX_LIMIT)?,
        })
    }
}

impl From<FindQuery> for EventSearch {
    fn from(query: FindQuery) -> Self {
        let filter = EventFilter {
            event_type: query.event_type,
            topic: query.topic,
            key: query.key,
            from: query.since,
            to: query.until,
        };
        Self::new(query.correlation, filter, query.limit.unwrap_or(LIMIT))
    }
}

/// What a search looks for.
#[derive(Debug)]
pub(crate) struct EventSearch {
    pub(super) correlation: Option<MessageId>,
    pub(super) filter: EventFilter,
    pub(super) limit: u32,
}

impl EventSearch {
    /// Without a correlation and a time, it looks at the last hour: there is no index of keys and types.
    pub(crate) fn new(correlation: Option<MessageId>, mut filter: EventFilter, limit: u32) -> Self {
        if correlation.is_none() && filter.from.is_none() {
            filter.from = Timestamp::now().checked_sub(SINCE).ok();
        }
        Self { correlation, filter, limit }
    }

    /// Returns whether an event of the correlation is among those that are looked for.
    pub(super) fn matches(&self, event: &LinkedEvent) -> bool {
        let EventFilter { event_type, topic, key, from, to } = &self.filter;
        event_type.as_ref().is_none_or(|wanted| event.event_type.as_ref() == Some(wanted))
            && topic.as_deref().is_none_or(|topic| topic == &*event.topic)
            && key.as_ref().is_none_or(|key| event.key.as_deref() == Some(key.as_bytes()))
            && from.is_none_or(|from| from <= event.created_at)
            && to.is_none_or(|to| event.created_at <= to)
    }
}
