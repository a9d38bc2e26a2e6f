//! What the health of a process depends on.

use std::sync::Arc;

use messagekit::Stats;
use messagekit::operations::OutboxHealth;

/// The outboxes of the databases, by the names of these.
#[derive(Clone)]
pub(crate) struct Outboxes(pub(crate) Arc<[Named]>);

/// An outbox and the name of its database.
pub(crate) type Named = (Arc<str>, Arc<dyn OutboxHealth>);

/// Returns the current fault of a dependency other than the databases.
pub(crate) type Look = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Dependencies of readiness other than the databases, by name.
#[derive(Clone, Default)]
pub(crate) struct Connections(pub(crate) Arc<[(String, Look)]>);

/// The consumers of a service, by name.
#[derive(Clone, Default)]
pub(crate) struct Consumers(pub(crate) Arc<[(String, Stats)]>);
