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

/// How long after such a wait no other id is waited for, beside those that came during it: a writer that invents ids would hold its lane for each.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most ids of unknown schemas that are remembered: a record names any id.
const MAX_UNKNOWN: usize = 1_000;

/// A registry, and the schemas that were looked up in it.
pub(crate) struct Lookup {
    registry: Box<dyn SchemaRegistry>,
    known: Mutex<HashMap<SchemaId, Arc<Reading>>>,
    unknown: Mutex<HashMap<SchemaId, (Instant, Arc<Reading>)>>,
    /// When an unknown id was waited for last.
    waited: Mutex<Option<Instant>>,
}

impl Lookup {
    pub(crate) fn new(registry: impl SchemaRegistry) -> Self {
        Self {
            registry: Box::new(registry),
            known: Mutex::default(),
            unknown: Mutex::default(),
            waited: Mutex::default(),
        }
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

    /// Returns whether an unknown id may be waited for, and notes that it is. Ids that are looked up at once are waited for at once.
    fn may_wait(&self) -> bool {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let since = waited.map_or(Duration::MAX, |waited| waited.elapsed());
        if since >= PATIENCE {
            *waited = Some(Instant::now());
        }
        since < AGAIN || since >= PATIENCE
    }

    /// Asks the registry. What is not found is asked for once more after a moment: servers of one registry learn of a new schema one after another.
    async fn asked(&self, id: SchemaId) -> Result<RegisteredSchema, Error> {
        match self.registry.schema(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound && self.may_wait() => {
                tokio::time::sleep(AGAIN).await;
                self.registry.schema(id).await
            }
            found => found,
        }
    }

    /// Refuses the messages of a schema until it is looked up again.
    fn refuse(&self, id: SchemaId, reason: String) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() >= MAX_UNKNOWN {
            unknown.clear();
        }
        unknown.insert(id, (Instant::now(), Arc::new(Reading::Refused(reason))));
    }

    /// Looks a schema up, so that it is known.
    pub(crate) async fn look_up(&self, id: SchemaId) -> Result<(), Error> {
        match self.asked(id).await {
            Ok(found) => {
                match Reading::of(id, &found) {
                    Reading::Refused(reason) => {
                        tracing::warn!(schema = id.0, "messages of a schema cannot be read: {reason}");
                        self.refuse(id, reason);
                    }
                    reading => {
                        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                        known.insert(id, Arc::new(reading));
                    }
                }
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
                self.refuse(id, reason);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use messagekit::adapter::BoxFuture;

    use super::*;
    use crate::{MemoryRegistry, SchemaDocument, SchemaFormat};

    /// Has every id, in a form that is not read at first.
    #[derive(Default)]
    struct Changing(AtomicU32);

    impl SchemaRegistry for Changing {
        fn schema(&self, _: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>> {
            let is_first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
            let format = if is_first { SchemaFormat::Protobuf } else { SchemaFormat::Json };
            let document = SchemaDocument { format, text: "{}".into(), references: Vec::new() };
            Box::pin(async move { Ok(RegisteredSchema { document, dependencies: Vec::new() }) })
        }

        fn find<'a>(&'a self, _: &'a str, _: &'a SchemaDocument) -> BoxFuture<'a, Result<SchemaId, Error>> {
            unreachable!("nothing is published")
        }

        fn register<'a>(
            &'a self,
            _: &'a str,
            _: &'a SchemaDocument,
        ) -> BoxFuture<'a, Result<SchemaId, Error>> {
            unreachable!("nothing is published")
        }

        fn incompatibilities<'a>(
            &'a self,
            _: &'a str,
            _: &'a SchemaDocument,
        ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
            unreachable!("nothing is published")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn invented_numbers_are_waited_for_once_in_a_while() {
        let lookup = Lookup::new(MemoryRegistry::new());
        let begun = Instant::now();
        for id in 1..=200 {
            lookup.look_up(SchemaId(id)).await.unwrap();
            assert!(lookup.known(SchemaId(id)).is_some(), "its messages are set aside");
        }
        assert_eq!(begun.elapsed(), AGAIN);
        tokio::time::advance(PATIENCE).await;
        lookup.look_up(SchemaId(201)).await.unwrap();
        assert_eq!(begun.elapsed(), AGAIN + PATIENCE + AGAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_that_are_looked_up_at_once_wait_at_once() {
        let lookup = Lookup::new(MemoryRegistry::new());
        let begun = Instant::now();
        tokio::join!(
            async { lookup.look_up(SchemaId(1)).await.unwrap() },
            async { lookup.look_up(SchemaId(2)).await.unwrap() },
            async {
                for (subject, text) in [("new", "{}"), ("newer", "true")] {
                    let text = text.into();
                    let schema = SchemaDocument { format: SchemaFormat::Json, text, references: Vec::new() };
                    lookup.registry().register(subject, &schema).await.unwrap();
                }
            },
        );
        assert_eq!(begun.elapsed(), AGAIN);
        for id in [1, 2] {
            let reading = lookup.known(SchemaId(id)).unwrap();
            assert!(!matches!(*reading, Reading::Refused(_)), "{id} was registered meanwhile");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_schema_that_is_not_read_is_looked_up_again() {
        let (lookup, id) = (Lookup::new(Changing::default()), SchemaId(1));
        let is_refused = || lookup.known(id).map(|reading| matches!(*reading, Reading::Refused(_)));
        lookup.look_up(id).await.unwrap();
        assert_eq!(is_refused(), Some(true));
        tokio::time::advance(UNKNOWN).await;
        assert_eq!(is_refused(), None);
        lookup.look_up(id).await.unwrap();
        assert_eq!(is_refused(), Some(false));
    }
}
