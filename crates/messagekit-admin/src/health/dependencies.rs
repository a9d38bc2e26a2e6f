//! What the health of a process depends on.

use std::sync::Arc;

use messagekit::operations::OutboxHealth;
use messagekit::{Stats, relay};

use super::limits::HealthLimits;

/// What the health of a process depends on, each by its name: the state of the health paths.
#[derive(Clone, Default)]
pub(crate) struct Dependencies {
    pub(crate) outboxes: Outboxes,
    /// Dependencies of readiness that are none of the others.
    pub(crate) connections: Arc<[(String, Look)]>,
    pub(crate) consumers: Arc<[(String, Stats)]>,
    pub(crate) relays: Arc<[(String, relay::Stats)]>,
    pub(crate) limits: HealthLimits,
}

/// The outboxes of the databases, by the names of these.
#[derive(Clone, Default)]
pub(crate) struct Outboxes(pub(crate) Arc<[Named]>);

/// An outbox and the name of its database.
pub(crate) type Named = (Arc<str>, Arc<dyn OutboxHealth>);

/// Returns the current fault of a dependency other than the databases.
pub(crate) type Look = Box<dyn Fn() -> Option<String> + Send + Sync>;
