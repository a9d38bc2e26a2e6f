//! What keeps schemas for many services.

use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::BoxFuture;

use crate::{RegisteredSchema, SchemaDocument, SchemaId};

/// A registry of schemas. A subject is a list of versions of one schema; the registry refuses a version that is not compatible with
/// the ones before. A [`SchemaId`] is that of one schema forever.
pub trait SchemaRegistry: Send + Sync + 'static {
    /// Returns the schema of an id, with what it depends on.
    ///
    /// # Errors
    /// [`NotFound`](messagekit::ErrorKind::NotFound) if the registry has no such id, [`Undecodable`](messagekit::ErrorKind::Undecodable) if
    /// there is something wrong with this schema alone; a transient error if the registry does not answer: retry.
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>>;

    /// Returns the id of a schema under a subject, and changes nothing.
    ///
    /// # Errors
    /// [`NotFound`](messagekit::ErrorKind::NotFound) if the subject is unknown or does not have the schema; a transient error if the
    /// registry does not answer: retry.
    fn find<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>>;

    /// Returns the id of a schema under a subject, as a new version if it is none yet. A repetition has no effect.
    ///
    /// # Errors
    /// [`SchemaMismatch`](messagekit::ErrorKind::SchemaMismatch) if the registry refuses the version as incompatible,
    /// [`InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) if it cannot read it; a transient error if it does not
    /// answer: retry.
    fn register<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>>;

    /// Returns why the registry would refuse a schema as the next version of a subject: nothing if it would take it, or if the
    /// subject is unknown.
    ///
    /// # Errors
    /// As [`register`](Self::register), but for what is incompatible.
    fn incompatibilities<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>>;
}

impl<R: SchemaRegistry + ?Sized> SchemaRegistry for Arc<R> {
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>> {
        (**self).schema(id)
    }

    fn find<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        (**self).find(subject, schema)
    }

    fn register<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        (**self).register(subject, schema)
    }

    fn incompatibilities<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        (**self).incompatibilities(subject, schema)
    }
}
