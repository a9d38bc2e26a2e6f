//! The state that handlers share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::Notify;

use crate::Service;
use crate::database::Databases;
use crate::health::{Dependencies, HealthLimits, Outboxes};
use crate::metrics_page::MetricsPage;
use crate::topics::GroupNames;

#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) databases: Databases,
    /// The running services that a status asks.
    pub(crate) services: Arc<[Service]>,
    pub(crate) outboxes: Outboxes,
    pub(crate) limits: HealthLimits,
    pub(crate) metrics_page: Arc<MetricsPage>,
    /// Wakes the worker when a replay is ordered here.
    pub(crate) ordered: Notify,
    pub(crate) group_names: GroupNames,
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

impl FromRef<App> for Databases {
    fn from_ref(app: &App) -> Self {
        app.databases.clone()
    }
}

impl FromRef<App> for Arc<MetricsPage> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.metrics_page)
    }
}

/// An admin depends on databases only.
impl FromRef<App> for Dependencies {
    fn from_ref(app: &App) -> Self {
        Self { outboxes: app.outboxes.clone(), limits: app.limits, ..Self::default() }
    }
}
