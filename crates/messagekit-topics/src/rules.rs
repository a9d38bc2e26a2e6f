//! The rules of an open topic, by which a value becomes a record.

use std::sync::{Arc, OnceLock};

use jsonschema::Validator;
use messagekit::{Error, ErrorKind, Message, MessageId, headers};
use messagekit_schema::canonical::Json;
use messagekit_topic_store::{NewRecord, TopicDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::record::dedup_hash;
use crate::schema_check;

/// The content type of a record.
const JSON: &str = "application/json";

/// The rules of a topic.
pub(crate) struct Rules {
    pub(crate) name: Arc<str>,
    /// The number of the topic in its database.
    pub(crate) id: i64,
    /// Its dedup fields, sorted.
    pub(crate) dedup: Vec<String>,
    pub(crate) key: Option<String>,
    /// How often the topic had been migrated when it was opened.
    pub(crate) version: u32,
    /// The schema of the file, if the topic has one.
    schema: Option<String>,
    /// Made at the first use: most programs append values of the type.
    validator: OnceLock<Result<Validator, Error>>,
}

impl Rules {
    pub(crate) fn of(definition: TopicDefinition) -> Self {
        let TopicDefinition { id, name, schema, dedup, key, version, .. } = definition;
        Self { name, id, dedup, key, version, schema, validator: OnceLock::new() }
    }

    /// Returns the record of a value.
    pub(crate) fn record(&self, value: &Json<'_>) -> Result<NewRecord, Error> {
        if !value.is_object() {
            return Err(self.refused("record is no JSON object"));
        }
        let (payload, key, dedup_hash) = self.form_of(value);
        let mut message = Message::new(self.name.clone(), payload)
            .with_header(headers::ID, MessageId::new().as_str().to_owned())
            .with_header(headers::CONTENT_TYPE, JSON);
        if let Some(key) = key {
            message = message.with_key(key);
        }
        Ok(NewRecord { message, dedup_hash, topic_id: self.id, version: self.version })
    }

    /// Returns the payload, the key and the dedup hash of an object.
    pub(crate) fn form_of(&self, value: &Json<'_>) -> (String, Option<String>, Option<String>) {
        (value.text(), self.key_of(value), dedup_hash(&self.dedup, value))
    }

    /// Equal numbers are one key.
    fn key_of(&self, value: &Json<'_>) -> Option<String> {
        match value.field(self.key.as_ref()?)? {
            Json::Plain(null) if null == "null" => None,
            Json::Text(key) => Some(key.clone().into_owned()),
            other => Some(other.equal_text()),
        }
    }

    /// Returns a value as JSON text.
    pub(crate) fn text_of(&self, data: &impl Serialize) -> Result<String, Error> {
        serde_json::to_string(data)
            .map_err(|error| self.refused("value cannot be written as JSON").caused_by(error))
    }

    /// Reads JSON text, and keeps the digits of its numbers. An object has each key once.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<Json<'a>, Error> {
        let (value, repeated) = Json::read_with_repeated(text)
            .map_err(|error| self.refused("value is no JSON").caused_by(error))?;
        match repeated {
            None => Ok(value),
            Some(at) => {
                let text = "object has a key twice, of which readers count different ones: write each once";
                Err(self.refused(text).with("at", format!("byte {at}")))
            }
        }
    }

    /// Checks that a reader of the type can read a value again. It would stop for ever at a record that it cannot read: JSON has no NaN, and
    /// a field may be written in another form than it is read.
    pub(crate) fn check_type<T: DeserializeOwned>(&self, text: &str) -> Result<(), Error> {
        // The error's own text quotes the value.
        serde_json::from_str::<T>(text).map(drop).map_err(|_| {
            self.refused(
                "value cannot be read again as its type: give each field a value that JSON has, and read it as it is written",
            )
        })
    }

    /// Checks a value against the schema of the file. A topic without a schema takes any object.
    pub(crate) fn check(&self, text: &str) -> Result<(), Error> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let value: Value = serde_json::from_str(text)
            .map_err(|error| self.refused("value has a number that no program can read").caused_by(error))?;
        let validator =
            self.validator.get_or_init(|| self.validator(schema)).as_ref().map_err(Clone::clone)?;
        match validator.iter_errors(&value).next() {
            None => Ok(()),
            // The error's own text quotes the value.
            Some(error) => Err(self
                .refused("record does not fit the schema of the topic")
                .with("field", path(error.instance_path().as_str()))
                .with("rule", error.schema_path().as_str())),
        }
    }

    pub(crate) fn refused(&self, text: &'static str) -> Error {
        Error::new(ErrorKind::InvalidEvent, text).with("topic", &self.name)
    }

    fn validator(&self, schema: &str) -> Result<Validator, Error> {
        let unusable = || {
            let text = "schema of the topic cannot check records: append values of the type";
            Error::new(ErrorKind::InvalidConfiguration, text).with("topic", &self.name)
        };
        let schema: Value = serde_json::from_str(schema).map_err(|error| unusable().caused_by(error))?;
        schema_check::validator(&schema).map_err(|error| unusable().caused_by(error.to_owned()))
    }
}

/// Returns the path of a field, also of the whole record.
fn path(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}
