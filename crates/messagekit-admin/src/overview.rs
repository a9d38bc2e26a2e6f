//! The documents of the routes, for programs without HTTP.

use std::fmt;
use std::sync::Arc;

use messagekit::operations::{AuditFilter, AuditRecord, EventFilter, Operations};
use messagekit::{Error, ErrorKind, MessageId};

use crate::database::{Database, Databases};
use crate::events::{EventDocument, FoundEvents};
use crate::page::Position;
use crate::problem::Problem;
use crate::status::StatusDocument;
use crate::{List, Service, audit, events, status};

/// Reads one or several databases at once, and answers with the documents that the routes of an [`Admin`](crate::Admin)
/// serve to a reader. A database that does not answer is named under `unreachable`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
///
/// use messagekit_admin::Overview;
/// use messagekit_memory::MemoryStore;
///
/// let overview = Overview::new([("shop", Arc::new(MemoryStore::new()) as _)]);
/// let unknown = overview.event(&"e-1".parse()?).await.unwrap_err();
/// assert_eq!(unknown.kind(), messagekit::ErrorKind::NotFound);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Overview {
    databases: Databases,
    services: Arc<[Service]>,
}

impl Overview {
    /// Creates an overview of databases by name.
    pub fn new<N: Into<Arc<str>>>(databases: impl IntoIterator<Item = (N, Arc<dyn Operations>)>) -> Self {
        let databases = databases.into_iter().map(|(name, store)| Database::new(name.into(), store, None));
        Self { databases: Databases(databases.collect()), services: Arc::default() }
    }

    /// Also asks running services for their health, for the status.
    #[must_use]
    pub fn services(self, services: impl IntoIterator<Item = Service>) -> Self {
        Self { services: services.into_iter().collect(), ..self }
    }

    /// Returns the document of `GET /api/v1/events/{id}`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no database knows the event; [`ErrorKind::Unavailable`] if none answers: retry.
    pub async fn event(&self, id: &MessageId) -> Result<EventDocument, Error> {
        events::document(&self.databases.0, id, true).await.map_err(Problem::into_error)
    }

    /// Returns the document of `GET /api/v1/events`: events of a correlation, or those of a filter. Without a correlation and a
    /// time, it finds those of the last hour.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if no database answers: retry.
    pub async fn events(
        &self,
        correlation: Option<MessageId>,
        filter: EventFilter,
        limit: u32,
    ) -> Result<FoundEvents, Error> {
        events::find(&self.databases.0, &events::EventSearch::new(correlation, filter, limit))
            .await
            .map_err(Problem::into_error)
    }

    /// Returns the document of `GET /api/v1/audit`. Its `next` is the position `before` which the next page continues.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a position of other databases; [`ErrorKind::Unavailable`] if no database
    /// answers: retry.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<List<AuditRecord>, Error> {
        let position = match before {
            None => Position::default(),
            Some(text) => Position::read(text).ok_or_else(|| {
                let text =
                    "before is not a number, nor the end of a page: write what the page before has printed";
                Error::new(ErrorKind::InvalidConfiguration, text)
            })?,
        };
        audit::document(&self.databases.0, filter, &position, limit).await.map_err(Problem::into_error)
    }

    /// Returns the document of `GET /api/v1/status`.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if no database answers: retry.
    pub async fn status(&self) -> Result<StatusDocument, Error> {
        status::document(&self.databases.0, &self.services).await.map_err(Problem::into_error)
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overview").field("databases", &self.databases).finish_non_exhaustive()
    }
}
