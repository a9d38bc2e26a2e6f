//! A schema as a registry keeps it.

use std::fmt;
use std::str::FromStr;

use messagekit::{Error, ErrorKind};

/// The number of a schema in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The languages of schemas that registries know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaFormat {
    /// Apache Avro.
    Avro,
    /// JSON Schema; its data is JSON.
    Json,
    /// Protocol Buffers, which are not read here.
    Protobuf,
}

impl fmt::Display for SchemaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        })
    }
}

impl FromStr for SchemaFormat {
    type Err = Error;

    /// Reads a format by the name that it prints.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] for another name. A retry does not help.
    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Avro, Self::Json, Self::Protobuf]
            .into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| {
                Error::new(ErrorKind::Undecodable, "registry names an unknown format of a schema")
                    .with("format", text)
            })
    }
}

/// A schema with the names of those it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDocument {
    /// The language of the text.
    pub format: SchemaFormat,
    /// The schema.
    pub text: String,
    /// The schemas whose names the text uses.
    pub references: Vec<SchemaReference>,
}

/// A version of a subject, under the name by which a schema refers to it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SchemaReference {
    /// The name in the text: the full name of a type of Avro, or the address in a `$ref` of JSON Schema.
    pub name: String,
    /// The subject.
    pub subject: String,
    /// The version of the subject, from 1.
    pub version: u32,
}

/// A schema with the texts of those it depends on, each after its own dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The schema.
    pub document: SchemaDocument,
    /// The texts of its references, and of theirs.
    pub dependencies: Vec<String>,
}
