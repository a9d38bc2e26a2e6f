//! How data of one schema is read.

use bytes::Bytes;
use messagekit::headers::{CE_CONTENT_TYPE, CONTENT_TYPE, JSON, UNREADABLE};
use messagekit::{Error, ErrorKind, Message};

use crate::{AvroSchema, RegisteredSchema, SchemaFormat, SchemaId};

/// How data of a schema is read, or why it is not.
#[derive(Debug)]
pub(crate) enum Reading {
    Avro(AvroSchema),
    Json,
    Refused(String),
}

impl Reading {
    pub(crate) fn of(id: SchemaId, found: &RegisteredSchema) -> Self {
        match found.document.format {
            SchemaFormat::Avro => match AvroSchema::for_reading(&found.document.text, &found.dependencies) {
                Ok(schema) => Self::Avro(schema),
                Err(error) => Self::Refused(format!("schema {id}: {}", messagekit::chain(&error))),
            },
            SchemaFormat::Json => Self::Json,
            format => Self::Refused(format!("schema {id} is in {format}, which is not read here")),
        }
    }

    /// Reads framed data as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] if it does not fit its schema.
    fn read(&self, id: SchemaId, data: Bytes) -> Result<Bytes, Error> {
        match self {
            Self::Avro(schema) => {
                schema.read(&data).map(Bytes::from).map_err(|error| error.with("schema", id))
            }
            Self::Json => Ok(data),
            Self::Refused(reason) => Err(Error::new(ErrorKind::Undecodable, reason.clone())),
        }
    }

    /// Turns the data of a message into JSON. A message that cannot be read stays as it is and is marked: its consumer sets it aside.
    pub(crate) fn decode(&self, id: SchemaId, data: Bytes, message: &mut Message) {
        match self.read(id, data) {
            Ok(json) => {
                message.payload = json;
                if matches!(self, Self::Avro(_)) {
                    message.headers.remove(CE_CONTENT_TYPE);
                    message.headers.set(CONTENT_TYPE, JSON);
                }
            }
            Err(error) => message.headers.set(UNREADABLE, error.to_string()),
        }
    }
}
