//! What a consumer does, and how.

use std::time::Duration;

use messagekit_wire::Consume;

use crate::Client;
use crate::attempts::Attempts;
use crate::patience::Patience;

/// The settings of a consumer.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) client: Client,
    pub(crate) group: String,
    /// What it asks the server again and again.
    pub(crate) request: Consume,
    pub(crate) lease: Duration,
    pub(crate) attempts: Attempts,
    pub(crate) patience: Patience,
}

impl Settings {
    pub(crate) fn topic(&self) -> &str {
        &self.request.topic_id
    }

    /// Sets how long a claim lasts, in whole seconds.
    pub(crate) fn set_lease(&mut self, seconds: u64) {
        self.lease = Duration::from_secs(seconds);
        self.request.lease_seconds = Some(seconds);
    }
}
