//! The schema with which events of a type are published.

use std::sync::Arc;

use messagekit::{DataVersion, Error, ErrorKind, Event};

use crate::{AvroSchema, SchemaDocument, SchemaFormat, SchemaId, SchemaRegistry};

/// How a subject is named, in Confluent's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectName {
    /// `TOPIC-value`: a topic has events of one type.
    Topic,
    /// The full name of the record.
    Record,
    /// `TOPIC-RECORD`: a topic has events of several types. The default.
    #[default]
    TopicRecord,
}

/// The schema of one version of an event type, and its subject.
///
/// ```
/// use messagekit::Event;
/// use messagekit_schema_registry::{EventSchema, SubjectName};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", topic = "orders", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
///
/// let text = r#"{"type": "record", "name": "OrderPlaced", "namespace": "shop",
///     "fields": [{"name": "order_id", "type": "string"}]}"#;
/// let schema = EventSchema::avro::<OrderPlaced>(text)?;
/// assert_eq!(schema.subject(), "orders-shop.OrderPlaced");
/// assert_eq!(schema.subject_name(SubjectName::Topic).subject(), "orders-value");
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EventSchema {
    event_type: &'static str,
    version: DataVersion,
    topic: String,
    record: String,
    subject_name: SubjectName,
    document: SchemaDocument,
    /// `None` for JSON.
    avro: Option<Arc<AvroSchema>>,
    is_existing: bool,
}

impl EventSchema {
    /// Takes a record of Avro for the data of an event, without the fields of the envelope.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is no schema, or not of a record. A retry does not help.
    pub fn avro<E: Event>(text: &str) -> Result<Self, Error> {
        let document =
            SchemaDocument { format: SchemaFormat::Avro, text: text.to_owned(), references: Vec::new() };
        Self::avro_referring::<E>(document, &[])
    }

    /// As [`avro`](Self::avro), for a document that refers to others. `dependencies` are their texts, each after those that it
    /// depends on itself.
    ///
    /// # Errors
    /// As [`avro`](Self::avro).
    pub fn avro_referring<E: Event>(
        document: SchemaDocument,
        dependencies: &[String],
    ) -> Result<Self, Error> {
        let named = |error: Error| error.with("event_type", E::TYPE);
        let schema = AvroSchema::parse(&document.text, dependencies).map_err(named)?;
        let name = schema.name().filter(|_| schema.is_record()).map(str::to_owned);
        match name {
            Some(name) => Ok(Self::new::<E>(name, document, Some(Arc::new(schema)))),
            None => {
                let text = "schema of an event has to be a record of Avro";
                Err(named(Error::new(ErrorKind::InvalidConfiguration, text)))
            }
        }
    }

    /// Takes a JSON Schema for the data of an event, such as that of its [`Contract`](messagekit_schema::Contract), as a text: a registry
    /// compares texts. The data is framed JSON, and is not checked here: that is
    /// [`Outbox::validation`](messagekit::Outbox::validation).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is not JSON. A retry does not help.
    pub fn json<E: Event>(text: &str) -> Result<Self, Error> {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
            Error::new(ErrorKind::InvalidConfiguration, "schema of an event is not JSON")
                .with("event_type", E::TYPE)
                .caused_by(error)
        })?;
        let format = SchemaFormat::Json;
        let document = SchemaDocument { format, text: text.to_owned(), references: Vec::new() };
        Ok(Self::new::<E>(E::TYPE.to_owned(), document, None))
    }

    fn new<E: Event>(record: String, document: SchemaDocument, avro: Option<Arc<AvroSchema>>) -> Self {
        Self {
            event_type: E::TYPE,
            version: DataVersion::read(E::VERSION).expect("the derive has checked the version"),
            topic: E::TOPIC.to_owned(),
            record,
            subject_name: SubjectName::default(),
            document,
            avro,
            is_existing: false,
        }
    }

    /// Names the topic, for an outbox with a prefix of topics; else it is that of the event.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = topic.into();
        self
    }

    /// Sets how the subject is named.
    #[must_use]
    pub fn subject_name(mut self, name: SubjectName) -> Self {
        self.subject_name = name;
        self
    }

    /// Refuses to start if the registry does not have the schema, in place of registering it: where registering is done by a pipeline.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.is_existing = true;
        self
    }

    /// Returns the subject.
    pub fn subject(&self) -> String {
        match self.subject_name {
            SubjectName::Topic => format!("{}-value", self.topic),
            SubjectName::Record => self.record.clone(),
            SubjectName::TopicRecord => format!("{}-{}", self.topic, self.record),
        }
    }

    /// Returns the schema as it is registered.
    pub fn document(&self) -> &SchemaDocument {
        &self.document
    }

    pub(crate) fn event_type(&self) -> &'static str {
        self.event_type
    }

    pub(crate) fn version(&self) -> DataVersion {
        self.version
    }

    /// Returns the schema of Avro; `None` for JSON.
    pub(crate) fn into_avro(self) -> Option<Arc<AvroSchema>> {
        self.avro
    }

    /// Returns the id that the registry gives the schema.
    pub(crate) async fn id_in(&self, registry: &dyn SchemaRegistry) -> Result<SchemaId, Error> {
        let subject = self.subject();
        let found = match self.is_existing {
            true => registry.find(&subject, &self.document).await,
            false => registry.register(&subject, &self.document).await,
        };
        found.map_err(|error| error.with("subject", subject).with("event_type", self.event_type))
    }
}
