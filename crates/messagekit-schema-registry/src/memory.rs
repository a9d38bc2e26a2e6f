//! A registry in the memory of a program.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use messagekit::adapter::BoxFuture;
use messagekit::{Error, ErrorKind};
use messagekit_schema::{Compatibility, Shape};

use crate::{
    AvroSchema, RegisteredSchema, SchemaDocument, SchemaFormat, SchemaId, SchemaReference, SchemaRegistry,
};

/// A registry in memory, for tests: a new version has to read data of the one before (`BACKWARD`, the default of Confluent's).
///
/// ```
/// use messagekit_schema_registry::{MemoryRegistry, SchemaDocument, SchemaFormat, SchemaRegistry};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = MemoryRegistry::new();
/// let text = r#"{"type": "record", "name": "Order", "fields": []}"#.to_owned();
/// let schema = SchemaDocument { format: SchemaFormat::Avro, text, references: vec![] };
/// let id = registry.register("orders-value", &schema).await?;
/// assert_eq!(registry.schema(id).await?.document, schema);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Default)]
pub struct MemoryRegistry(Mutex<State>);

#[derive(Default)]
struct State {
    /// By id, from 1.
    schemas: Vec<RegisteredSchema>,
    /// The ids of the versions, from 1.
    subjects: BTreeMap<String, Vec<SchemaId>>,
}

impl MemoryRegistry {
    /// Creates one without schemas.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn schema(&self, id: SchemaId) -> Option<&RegisteredSchema> {
        self.schemas.get(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }

    fn of_version(&self, subject: &str, version: u32) -> Option<&RegisteredSchema> {
        let versions = self.subjects.get(subject)?;
        self.schema(*versions.get(usize::try_from(version).ok()?.checked_sub(1)?)?)
    }

    /// Returns the schema with what it depends on.
    fn resolved(&self, document: &SchemaDocument) -> Result<RegisteredSchema, Error> {
        let (mut dependencies, mut seen) = (Vec::new(), HashSet::new());
        for SchemaReference { subject, version, .. } in &document.references {
            let found = self.of_version(subject, *version).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidConfiguration,
                    "schema refers to an unknown version of a subject",
                )
                .with("subject", subject)
                .with("version", version)
            })?;
            let texts = found.dependencies.iter().chain([&found.document.text]);
            dependencies.extend(texts.filter(|text| seen.insert((*text).clone())).cloned());
        }
        Ok(RegisteredSchema { document: document.clone(), dependencies })
    }

    fn id_of(&self, document: &SchemaDocument) -> Option<SchemaId> {
        let at = self.schemas.iter().position(|known| known.document == *document)?;
        u32::try_from(at + 1).ok().map(SchemaId)
    }

    fn incompatibilities(&self, subject: &str, new: &RegisteredSchema) -> Result<Vec<String>, Error> {
        check(new)?;
        let latest = self.subjects.get(subject).and_then(|versions| self.schema(*versions.last()?));
        match latest {
            Some(latest) if latest.document == new.document => Ok(Vec::new()),
            Some(latest) => unread(latest, new),
            None => Ok(Vec::new()),
        }
    }
}

/// Refuses what is no schema.
fn check(schema: &RegisteredSchema) -> Result<(), Error> {
    match schema.document.format {
        SchemaFormat::Avro => AvroSchema::parse(&schema.document.text, &schema.dependencies).map(drop),
        SchemaFormat::Json => shape(schema).map(drop),
        format => {
            let text = format!("a registry in memory has no schemas in {format}");
            Err(Error::new(ErrorKind::InvalidConfiguration, text))
        }
    }
}

fn shape(schema: &RegisteredSchema) -> Result<Shape, Error> {
    let text = serde_json::from_str(&schema.document.text).map_err(|error| {
        Error::new(ErrorKind::InvalidConfiguration, "schema is not JSON").caused_by(error)
    })?;
    Shape::with_formats(&text)
}

/// Returns why a schema does not read the data of the one before.
fn unread(before: &RegisteredSchema, new: &RegisteredSchema) -> Result<Vec<String>, Error> {
    match (before.document.format, new.document.format) {
        (SchemaFormat::Avro, SchemaFormat::Avro) => {
            let parsed = |schema: &RegisteredSchema| {
                Schema::parse_str_with_list(&schema.document.text, &schema.dependencies)
                    .map(|(schema, _)| schema)
                    .map_err(|error| Error::new(ErrorKind::InvalidConfiguration, error.to_string()))
            };
            let found = SchemaCompatibility::can_read(&parsed(before)?, &parsed(new)?);
            Ok(found.err().map(|error| error.to_string()).into_iter().collect())
        }
        (SchemaFormat::Json, SchemaFormat::Json) => {
            let found = Compatibility::Backward.check(&shape(before)?, &shape(new)?);
            Ok(found.iter().map(ToString::to_string).collect())
        }
        (before, new) => Ok(vec![format!("format of the schema was {before} and is {new}")]),
    }
}

impl SchemaRegistry for MemoryRegistry {
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>> {
        let found = self.state().schema(id).cloned();
        let unknown =
            || Error::new(ErrorKind::NotFound, "registry does not have the schema").with("schema", id);
        Box::pin(std::future::ready(found.ok_or_else(unknown)))
    }

    fn find<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        let state = self.state();
        let id = state.id_of(schema);
        let versions = state.subjects.get(subject);
        let found = id.filter(|id| versions.is_some_and(|versions| versions.contains(id)));
        let unknown =
            || Error::new(ErrorKind::NotFound, "subject does not have the schema").with("subject", subject);
        Box::pin(std::future::ready(found.ok_or_else(unknown)))
    }

    fn register<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        let registered = || {
            let mut state = self.state();
            let new = state.resolved(schema)?;
            let reasons = state.incompatibilities(subject, &new)?;
            let known = state.id_of(schema);
            let is_version = |id: &SchemaId| state.subjects.get(subject).is_some_and(|all| all.contains(id));
            if let Some(id) = known.filter(is_version) {
                return Ok(id);
            }
            if !reasons.is_empty() {
                let text = format!("registry refuses the schema as incompatible: {}", reasons.join("; "));
                return Err(Error::new(ErrorKind::SchemaMismatch, text).with("subject", subject));
            }
            let id = match known {
                Some(id) => id,
                None => {
                    state.schemas.push(new);
                    SchemaId(u32::try_from(state.schemas.len()).expect("fewer schemas than 4,294,967,296"))
                }
            };
            state.subjects.entry(subject.to_owned()).or_default().push(id);
            Ok(id)
        };
        Box::pin(std::future::ready(registered()))
    }

    fn incompatibilities<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        let state = self.state();
        let found = state.resolved(schema).and_then(|new| state.incompatibilities(subject, &new));
        Box::pin(std::future::ready(found))
    }
}

impl fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRegistry").field("schemas", &self.state().schemas.len()).finish_non_exhaustive()
    }
}
