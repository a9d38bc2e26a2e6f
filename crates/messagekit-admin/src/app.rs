//! The state that handlers share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::database::Databases;
use crate::health::Asked;
use crate::metrics_page::MetricsPage;

#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) databases: Databases,
    pub(crate) asked: Asked,
    pub(crate) metrics_page: MetricsPage,
    /// Wakes the worker when a replay is ordered here.
    pub(crate) ordered: Notify,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("databases", &self.databases).finish_non_exhaustive()
    }
}
