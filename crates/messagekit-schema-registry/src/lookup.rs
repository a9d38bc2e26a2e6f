//! The schemas that a program has looked up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use messagekit::{Error, ErrorKind, chain};
use tokio::time::Instant;

use crate::reading::Reading;
use crate::{RegisteredSchema, SchemaId, SchemaRegistry};

/// How long an id that the registry does not know is not looked up again.
const UNKNOWN: Duration = Duration::from_secs(30);

/// The wait before an unknown id is looked up a second time.
const AGAIN: Duration = Duration::from_millis(500);

/// The most ids of unknown schemas that are remembered: a record names any id.
const MAX_UNKNOWN: usize = 1_000;

/// A registry, and the schemas that were looked up in it.
pub(crate) struct Lookup {
    registry: Box<dyn SchemaRegistry>,
    known: Mutex<HashMap<SchemaId, Arc<Reading>>>,
    unknown: Mutex<HashMap<SchemaId, (Instant, Arc<Reading>)>>,
}

impl Lookup {
    pub(crate) fn new(registry: impl SchemaRegistry) -> Self {
        Self { registry: Box::new(registry), known: Mutex::default(), unknown: Mutex::default() }
    }

    pub(crate) fn registry(&self) -> &dyn SchemaRegistry {
        &*self.registry
    }

    /// Returns how data of a schema is read, if it was looked up.
    pub(crate) fn known(&self, id: SchemaId) -> Option<Arc<Reading>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).cloned().or_else(|| {
            let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            unknown
                .get(&id)
                .filter(|(since, _)| since.elapsed() < UNKNOWN)
                .map(|(_, reading)| Arc::clone(reading))
        })
    }

    /// Asks the registry. What is not found is asked for once more after a moment: servers of one registry learn of a new schema one after another.
    async fn asked(&self, id: SchemaId) -> Result<RegisteredSchema, Error> {
        match self.registry.schema(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tokio::time::sleep(AGAIN).await;
                self.registry.schema(id).await
            }
            found => found,
        }
    }

    /// Looks a schema up, so that it is known.
    pub(crate) async fn look_up(&self, id: SchemaId) -> Result<(), Error> {
        match self.asked(id).await {
            Ok(found) => {
                let reading = Reading::of(id, &found);
                if let Reading::Refused(reason) = &reading {
                    tracing::warn!(schema = id.0, "messages of a schema cannot be read: {reason}");
                }
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(id, Arc::new(reading));
                Ok(())
            }
            Err(error) if is_of_the_id(&error) => {
                tracing::warn!(schema = id.0, "schema of a message cannot be had: {}", chain(&error));
                let reason = match error.kind() {
                    ErrorKind::NotFound => {
                        format!("registry does not have schema {id}, or the payload is not framed")
                    }
                    _ => format!("schema {id} cannot be had: {error}"),
                };
                let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
                if unknown.len() >= MAX_UNKNOWN {
                    unknown.clear();
                }
                unknown.insert(id, (Instant::now(), Arc::new(Reading::Refused(reason))));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns whether an error is one of this id alone, and not of the registry: waiting would hold its lane for good.
fn is_of_the_id(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Undecodable)
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}
