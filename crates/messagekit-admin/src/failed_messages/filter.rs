//! Filters for failed messages.

use jiff::Timestamp;
use messagekit::operations::{FailedMessageFilter, Origin};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state_choice::StateChoice;
use crate::parameters::{FromParameters, NO_TIME, Parameters, searchable, usable_time};
use crate::problem::Problem;

/// Which failed messages; an omitted field does not restrict them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// Only those of this consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    consumer: Option<String>,
    /// Only those of this event type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Only those in this state; `open` for all that are still to be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateChoice>,
    /// Only those of this origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// Only those that failed for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    kind: Option<String>,
    /// Only those with this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    fingerprint: Option<String>,
    /// Only those with exactly this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Only those stored at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those stored before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl Filter {
    pub(crate) fn failed_messages(&self) -> Result<FailedMessageFilter, Problem> {
        let text = |name, text: &Option<String>| text.clone().map(|text| searchable(name, text)).transpose();
        let time = |name: &str, time: Option<Timestamp>| match time {
            Some(time) if usable_time(time).is_none() => Err(Problem::refused(format!("{name} {NO_TIME}"))),
            time => Ok(time),
        };
        Ok(FailedMessageFilter {
            consumer: text("consumer", &self.consumer)?,
            event_type: text("type", &self.event_type)?,
            state: self.state.and_then(StateChoice::one),
            is_open: self.state == Some(StateChoice::Open),
            origin: self.origin,
            kind: text("kind", &self.kind)?,
            fingerprint: text("fingerprint", &self.fingerprint)?,
            key: self.key.clone().map(String::into_bytes),
            since: time("since", self.since)?,
            until: time("until", self.until)?,
            before: None,
            after: None,
        })
    }
}

/// The same filter in a query.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// Only those of this consumer.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    consumer: Option<String>,
    /// Only those of this event type.
    #[param(rename = "type", max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Only those in this state; `open` for all that are still to be applied.
    #[param(inline)]
    state: Option<StateChoice>,
    /// Only those of this origin.
    #[param(inline)]
    origin: Option<Origin>,
    /// Only those that failed for this reason.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    kind: Option<String>,
    /// Only those with this fingerprint.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    fingerprint: Option<String>,
    /// Only those with exactly this key; any bytes, percent-encoded.
    #[param(value_type = Option<String>)]
    key: Option<Vec<u8>>,
    /// Only those stored at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those stored before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl FromParameters for FilterQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            consumer: parameters.text("consumer")?,
            event_type: parameters.text("type")?,
            state: parameters.word("state", &StateChoice::WORDS)?,
            origin: parameters.word(
                "origin",
                &[("store", Origin::Store), ("queue", Origin::Queue), ("topic", Origin::Topic)],
            )?,
            kind: parameters.text("kind")?,
            fingerprint: parameters.text("fingerprint")?,
            key: parameters.bytes("key")?,
            since: parameters.time("since")?,
            until: parameters.time("until")?,
        })
    }
}

impl From<FilterQuery> for FailedMessageFilter {
    fn from(query: FilterQuery) -> Self {
        Self {
            consumer: query.consumer,
            event_type: query.event_type,
            state: query.state.and_then(StateChoice::one),
            is_open: query.state == Some(StateChoice::Open),
            origin: query.origin,
            kind: query.kind,
            fingerprint: query.fingerprint,
            key: query.key,
            since: query.since,
            until: query.until,
            before: None,
            after: None,
        }
    }
}
