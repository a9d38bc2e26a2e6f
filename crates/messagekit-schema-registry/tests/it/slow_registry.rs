//! A registry that fails as a test says.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::{Error, ErrorKind};
use messagekit_schema_registry::{
    MemoryRegistry, RegisteredSchema, SchemaDocument, SchemaId, SchemaRegistry,
};

/// A registry whose next look-ups fail with errors of a kind. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct SlowRegistry {
    inner: Arc<MemoryRegistry>,
    failures: Arc<AtomicUsize>,
    kind: Arc<Mutex<Option<ErrorKind>>>,
    calls: Arc<AtomicU32>,
}

impl SlowRegistry {
    pub(crate) fn fail(&self, look_ups: usize, kind: ErrorKind) {
        *self.kind.lock().unwrap() = Some(kind);
        self.failures.store(look_ups, Ordering::SeqCst);
    }

    /// Returns how many look-ups by id there were.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl SchemaRegistry for SlowRegistry {
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let less = |left: usize| left.checked_sub(1);
            match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err(Error::new(self.kind.lock().unwrap().unwrap(), "registry fails in a test")),
                Err(_) => self.inner.schema(id).await,
            }
        })
    }

    fn find<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        self.inner.find(subject, schema)
    }

    fn register<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        self.inner.register(subject, schema)
    }

    fn incompatibilities<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        self.inner.incompatibilities(subject, schema)
    }
}
