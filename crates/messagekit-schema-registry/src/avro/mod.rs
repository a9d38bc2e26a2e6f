//! Avro data as JSON, and JSON as Avro data, by a schema.
//!
//! The crate `apache-avro` reads schemas. The data is read here, because that crate takes a record that is cut within a text
//! or a union for one with a null, follows a recursive schema as deep as the data says, and allocates what a length says.
//!
//! The encoding: <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

mod bounds;
mod compile;
mod cursor;
mod decimal;
mod fault;
mod read;
mod scalar;
mod times;
mod types;
mod union;
mod write;

use std::fmt;

use messagekit::{Error, ErrorKind};
use serde_json::Value;

use types::{Type, Types};

/// A schema of Avro.
///
/// Null, truth values, numbers, texts, arrays, maps and records are those of JSON. An enum is a text; bytes and a fixed are base64; a
/// union is its value alone. A float that JSON has not is `"NaN"`, `"Infinity"` or `"-Infinity"`. A decimal is a text, `"12.50"`. A
/// timestamp is a text with its zone, `"2026-01-31T23:59:59.5Z"`, a local one without, a date `"2026-01-31"`, a time `"23:59:59.5"`; a UUID is
/// a text, and a duration an object with `months`, `days` and `milliseconds`.
///
/// ```
/// use messagekit_schema_registry::AvroSchema;
/// use serde_json::json;
///
/// let schema = AvroSchema::parse(
///     r#"{"type": "record", "name": "OrderPlaced", "namespace": "shop", "fields": [
///         {"name": "order_id", "type": "string"},
///         {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
///         {"name": "note", "type": ["null", "string"], "default": null}]}"#,
///     &[],
/// )?;
/// let data = schema.write(&json!({"order_id": "o-1", "at": "2026-01-31T23:59:59.5Z"}))?;
/// assert_eq!(schema.name(), Some("shop.OrderPlaced"));
/// assert_eq!(schema.read(&data)?, br#"{"order_id":"o-1","at":"2026-01-31T23:59:59.5Z","note":null}"#);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub struct AvroSchema {
    name: Option<String>,
    types: Types,
    root: Type,
}

impl AvroSchema {
    /// Reads a schema. `dependencies` are the schemas whose names it uses, each after those that it depends on itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is none, or if it uses a name without a schema. A retry does not help.
    pub fn parse(text: &str, dependencies: &[String]) -> Result<Self, Error> {
        let invalid = |cause: apache_avro::Error| {
            Error::new(ErrorKind::InvalidConfiguration, "this is no schema of Avro").caused_by(cause)
        };
        let (root, dependencies) =
            apache_avro::Schema::parse_str_with_list(text, dependencies).map_err(invalid)?;
        let name = root.name().map(|name| name.fullname(None));
        let (types, root) = compile::compiled(&root, &dependencies)?;
        Ok(Self { name, types, root })
    }

    /// As [`parse`](Self::parse), for reading alone: defaults are left out, which it does not need and which other libraries
    /// check less.
    pub(crate) fn for_reading(text: &str, dependencies: &[String]) -> Result<Self, Error> {
        let dependencies: Vec<String> = dependencies.iter().map(|text| without_defaults(text)).collect();
        Self::parse(&without_defaults(text), &dependencies)
    }

    /// Returns the full name of a record, an enum or a fixed.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns whether data of the schema are records, as the data of events are.
    pub fn is_record(&self) -> bool {
        matches!(self.types.resolved(&self.root), Type::Record(_))
    }

    /// Reads one value in Avro's binary encoding and returns it as JSON: at most 16 MiB of it, 100 bytes for a byte of data and 64 KiB
    /// beside them, 100 levels deep.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] with the path of the field, never with a value, if the data does not fit, or if bytes are left. A retry
    /// does not help.
    pub fn read(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        read::read(&self.types, &self.root, data).map_err(|fault| fault.into_error(ErrorKind::Undecodable))
    }

    /// Writes JSON in Avro's binary encoding. A field that is absent takes the default of the schema, else null. Where a union has several
    /// fitting branches, a value takes the one of its own type, else the first. Times are cut to the unit of the schema.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] with the path of the field, never with a value, if the value does not fit. That includes a field that the
    /// schema does not have: it would be lost. A retry does not help.
    pub fn write(&self, value: &Value) -> Result<Vec<u8>, Error> {
        write::write(&self.types, &self.root, value)
            .map_err(|fault| fault.into_error(ErrorKind::InvalidEvent))
    }
}

/// Returns a schema without the defaults of fields and enums; a text that is no JSON as it is.
fn without_defaults(text: &str) -> String {
    fn strip(schema: &mut Value) {
        match schema {
            Value::Object(object) => {
                object.remove("default");
                object.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let Ok(mut schema) = serde_json::from_str(text) else { return text.to_owned() };
    strip(&mut schema);
    schema.to_string()
}

impl fmt::Debug for AvroSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroSchema").field("name", &self.name).finish_non_exhaustive()
    }
}
