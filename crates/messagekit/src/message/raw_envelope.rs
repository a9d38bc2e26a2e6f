//! The fields of an envelope as a message has them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// Envelope fields of a payload; any may be absent.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawEnvelope<'a> {
    #[serde(borrow, alias = "event_id")]
    pub(super) event_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "event_type")]
    pub(super) event_type: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "aggregate_id")]
    pub(super) aggregate_id: Option<Cow<'a, str>>,
    #[serde(alias = "occurred_at")]
    pub(super) occurred_at: Option<Timestamp>,
    #[serde(borrow)]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "data_version")]
    pub(super) data_version: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "correlation_id")]
    pub(super) correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "causation_id")]
    pub(super) causation_id: Option<Cow<'a, str>>,
    pub(super) metadata: Option<BTreeMap<String, serde_json::Value>>,
}
