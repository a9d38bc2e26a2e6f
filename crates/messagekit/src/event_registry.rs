//! Event types by name, for code without a consumer.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::message::{Envelope, ReadVersions, choose, codec, identify};
use crate::{DataVersion, Error, ErrorKind, Event, Message, Meta};

/// The events that a program knows, by type and major version: for tools that read messages of any type, such as a test
/// that looks at a whole outbox.
///
/// ```
/// use messagekit::adapter::codec;
/// use messagekit::{Envelope, Event, EventRegistry};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String }
///
/// let registry = EventRegistry::new().with::<OrderPlaced>()?;
/// let message = codec::encode(&Envelope::new(OrderPlaced { order_id: "o-1".into() }), "shop")?;
/// let event = registry.decode(&message)?;
/// assert_eq!(event.meta().event_type, "orders.order.placed");
/// let placed = event.downcast::<OrderPlaced>().expect("it is the only type");
/// assert_eq!(placed.data.order_id, "o-1");
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct EventRegistry {
    types: BTreeMap<&'static str, Known>,
}

type Decode = fn(Meta, &Message) -> Result<AnyEvent, Error>;

/// The structs of an event type.
#[derive(Clone)]
struct Known {
    topic: &'static str,
    versions: Vec<ReadVersions>,
    decode: Vec<Decode>,
    /// The schema of each struct, if it was added with one.
    schemas: Vec<Option<serde_json::Value>>,
}

/// An event that a registry knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisteredEvent {
    /// The type.
    pub event_type: &'static str,
    /// The topic it is published to.
    pub topic: &'static str,
    /// Its version.
    pub version: DataVersion,
    /// The earlier major versions that it is read from, newest first.
    pub earlier: Vec<DataVersion>,
    /// The JSON Schema of its data, if it was added with one.
    #[serde(skip)]
    pub schema: Option<serde_json::Value>,
}

impl EventRegistry {
    /// Creates an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event. Several structs of one type are of different major versions.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if there is a struct of its type and major version, or if another version of
    /// the type has another topic.
    pub fn with<E: Event>(self) -> Result<Self, Error> {
        self.add::<E>(None)
    }

    /// Adds an event with the JSON Schema of its data, for `contracts` of `messagekit-schema`.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    #[cfg(feature = "json-schema")]
    pub fn with_schema<E: Event + schemars::JsonSchema>(self) -> Result<Self, Error> {
        self.add::<E>(Some(schemars::schema_for!(E).to_value()))
    }

    fn add<E: Event>(mut self, schema: Option<serde_json::Value>) -> Result<Self, Error> {
        let versions = ReadVersions::of::<E>();
        let new = || Known { topic: E::TOPIC, versions: Vec::new(), decode: Vec::new(), schemas: Vec::new() };
        let known = self.types.entry(E::TYPE).or_insert_with(new);
        let refused = |text: &str| {
            let error = Error::new(ErrorKind::InvalidConfiguration, text.to_owned());
            Err(error.with("event_type", E::TYPE).with("data_version", E::VERSION))
        };
        if known.versions.iter().any(|known| known.own().major == versions.own().major) {
            return refused("two events of one type and major version: keep one");
        }
        if known.topic != E::TOPIC {
            return refused("two topics for one event type: keep one");
        }
        known.versions.push(versions);
        known.schemas.push(schema);
        known.decode.push(|meta, message| {
            let event: Envelope<E> = codec::decode(meta, message)?;
            Ok(AnyEvent { meta: Box::new(event.meta.clone()), event: Box::new(event) })
        });
        Ok(self)
    }

    /// Returns the events, by type and version.
    pub fn events(&self) -> Vec<RegisteredEvent> {
        let mut events: Vec<RegisteredEvent> = Vec::new();
        for (event_type, known) in &self.types {
            let versions = known.versions.iter().zip(&known.schemas);
            events.extend(versions.map(|(versions, schema)| RegisteredEvent {
                event_type,
                topic: known.topic,
                version: versions.own(),
                earlier: versions.all().skip(1).collect(),
                schema: schema.clone(),
            }));
        }
        events.sort_by_key(|event| (event.event_type, event.version));
        events
    }

    /// Reads an event from a message of any registered type, as a consumer does.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] with the reason: it has no id or no type, its type is not registered, no struct reads its
    /// version, or its data does not fit. A retry does not help.
    pub fn decode(&self, message: &Message) -> Result<AnyEvent, Error> {
        let refused = |text: String| Error::new(ErrorKind::Undecodable, text);
        let meta = identify(message).map_err(|unusable| refused(unusable.0.error))?;
        let Some(known) = self.types.get(meta.event_type.as_str()) else {
            let text = "event type is not registered: add its struct to the registry";
            return Err(refused(text.to_owned()).with("event_type", &meta.event_type));
        };
        let chosen = choose(&meta.data_version, &known.versions, true)
            .map_err(|failure| refused(failure.error).with("event_type", &meta.event_type))?;
        (known.decode[chosen])(meta, message)
    }
}

impl fmt::Debug for EventRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.events()).finish()
    }
}

/// An event of some type that a registry has read.
pub struct AnyEvent {
    meta: Box<Meta>,
    event: Box<dyn Any + Send>,
}

impl AnyEvent {
    /// Returns its metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the event in its envelope.
    ///
    /// # Errors
    /// Returns itself if the event is not an `E`.
    pub fn downcast<E: Event>(self) -> Result<Envelope<E>, Self> {
        let Self { meta, event } = self;
        event.downcast::<Envelope<E>>().map(|event| *event).map_err(|event| Self { meta, event })
    }
}

/// Shows the metadata and not the data, which may be unsuitable for logs.
impl fmt::Debug for AnyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyEvent")
            .field("event_id", &self.meta.event_id)
            .field("event_type", &self.meta.event_type)
            .finish_non_exhaustive()
    }
}
