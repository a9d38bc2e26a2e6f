//! A client for the HTTP API of Confluent's registry, which Apicurio, Karapace and Redpanda serve as well.
//!
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>

mod answer;
mod connection;
mod secret_header;
mod servers;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::{Error, ErrorKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{RegisteredSchema, SchemaDocument, SchemaFormat, SchemaId, SchemaReference, SchemaRegistry};
use answer::{Compatible, Id, Schema};
use connection::{Connection, Request};

/// The most schemas that one depends on.
const MAX_DEPENDENCIES: usize = 200;

/// A registry behind Confluent's HTTP API.
///
/// Each call has a thread for its time. A program that ends waits for none.
#[derive(Clone, Debug)]
pub struct ConfluentRegistry(Connection);

impl ConfluentRegistry {
    /// Takes the address of a server, such as `https://registry:8081`, or of several with commas between: where one does not answer, the
    /// next one is tried. The address of Apicurio ends with `/apis/ccompat/v7`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another text than such addresses. A retry does not help.
    pub fn new(addresses: &str) -> Result<Self, Error> {
        Connection::new(servers::read(addresses)?).map(Self)
    }

    /// Sends a user and a password with each call.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        Self(self.0.basic(user, password))
    }

    /// Sends a token with each call.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a token with a character that none has, such as the end of a line. A retry does not help.
    pub fn bearer(self, token: &str) -> Result<Self, Error> {
        self.0.bearer(token).map(Self)
    }

    /// Trusts the authorities of a PEM file beside those of the system.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a file that cannot be read or has no certificate. A retry does not help.
    pub fn certificate_authority(self, path: &Path) -> Result<Self, Error> {
        self.0.certificate_authority(path).map(Self)
    }

    /// Sets how long a server may take for an answer; 10 seconds else.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] as [`new`](Self::new).
    pub fn timeout(self, limit: Duration) -> Result<Self, Error> {
        self.0.timeout(limit).map(Self)
    }

    /// Adds the texts that references stand for, each after its own.
    fn add_dependencies<'a>(
        &'a self,
        references: Vec<SchemaReference>,
        seen: &'a mut HashSet<(String, u32)>,
        texts: &'a mut Vec<String>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            for SchemaReference { subject, version, .. } in references {
                if !seen.insert((subject.clone(), version)) {
                    continue;
                }
                if seen.len() > MAX_DEPENDENCIES {
                    let text = format!("schema depends on more than {MAX_DEPENDENCIES} others");
                    return Err(Error::new(ErrorKind::Undecodable, text));
                }
                let path = format!("/subjects/{}/versions/{version}", escaped(&subject));
                let found: Schema = self.0.call(Request::Get { path }).await?;
                self.add_dependencies(found.references, seen, texts).await?;
                // Several subjects may hold one schema, whose names must not be defined twice.
                if !texts.contains(&found.schema) {
                    texts.push(found.schema);
                }
            }
            Ok(())
        })
    }

    async fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: String,
        schema: &SchemaDocument,
    ) -> Result<T, Error> {
        let mut body = json!({"schema": schema.text});
        // Old servers know no other format and refuse the field.
        if schema.format != SchemaFormat::Avro {
            body["schemaType"] = Value::String(schema.format.to_string());
        }
        if !schema.references.is_empty() {
            body["references"] = json!(schema.references);
        }
        self.0.call(Request::Post { path, body: body.to_string() }).await
    }
}

impl SchemaRegistry for ConfluentRegistry {
    fn schema(&self, id: SchemaId) -> BoxFuture<'_, Result<RegisteredSchema, Error>> {
        Box::pin(async move {
            // Servers hold ids as signed numbers, and answer others as no registry does.
            if i32::try_from(id.0).is_err() {
                let text = "registry does not have the schema: its number has more than 31 bits";
                return Err(Error::new(ErrorKind::NotFound, text));
            }
            let path = format!("/schemas/ids/{id}");
            let found: Schema = self.0.call(Request::Get { path }).await.map_err(of_this_id)?;
            let document = found.document()?;
            let (mut seen, mut dependencies) = (HashSet::new(), Vec::new());
            let absent = |error: Error| match error.kind() {
                ErrorKind::NotFound => {
                    Error::new(ErrorKind::Undecodable, "schema refers to one that the registry does not have")
                        .caused_by(error)
                }
                _ => error,
            };
            self.add_dependencies(document.references.clone(), &mut seen, &mut dependencies)
                .await
                .map_err(absent)?;
            Ok(RegisteredSchema { document, dependencies })
        })
    }

    fn find<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        Box::pin(async move {
            let Id { id } = self.post(format!("/subjects/{}", escaped(subject)), schema).await?;
            Ok(SchemaId(id))
        })
    }

    fn register<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<SchemaId, Error>> {
        Box::pin(async move {
            let Id { id } = self.post(format!("/subjects/{}/versions", escaped(subject)), schema).await?;
            Ok(SchemaId(id))
        })
    }

    fn incompatibilities<'a>(
        &'a self,
        subject: &'a str,
        schema: &'a SchemaDocument,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let path = format!("/compatibility/subjects/{}/versions/latest?verbose=true", escaped(subject));
            match self.post::<Compatible>(path, schema).await {
                Ok(found) => Ok(found.reasons()),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        })
    }
}

/// Returns the error of a look-up. A server that refuses the number itself has nothing to say of others.
fn of_this_id(error: Error) -> Error {
    match error.context("status") {
        Some("400" | "422") => {
            Error::new(ErrorKind::Undecodable, "registry refuses the number of the schema").caused_by(error)
        }
        _ => error,
    }
}

/// Returns a subject as a part of a path.
fn escaped(subject: &str) -> impl std::fmt::Display {
    utf8_percent_encode(subject, NON_ALPHANUMERIC)
}
