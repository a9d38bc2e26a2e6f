//! The schemas that a program has looked up, and what it reads and publishes with them.

use std::sync::Arc;

use messagekit::adapter::{IntoSource, Publisher};
use messagekit::{Error, ErrorKind, Message};

use crate::frame;
use crate::lookup::Lookup;
use crate::{EventSchema, SchemaPublisher, SchemaRegistry, SchemaSource};

/// A registry, and the schemas that were looked up in it, which are kept. Clones share them.
#[derive(Clone, Debug)]
pub struct Schemas(Arc<Lookup>);

impl Schemas {
    /// Takes the registry.
    pub fn new(registry: impl SchemaRegistry) -> Self {
        Self(Arc::new(Lookup::new(registry)))
    }

    /// Returns a source whose framed messages arrive with their data as JSON; others arrive as they are.
    ///
    /// While the registry does not answer, a message whose schema was not looked up yet waits, and the later ones of its lane
    /// behind it; no attempt is counted. What does not fit its schema, or whose schema the registry does not have, becomes a failed
    /// message `unreadable` with its bytes as they were, which a retry does not help. A message that
    /// failed in its handler is kept as JSON, and its retry needs no registry.
    pub fn source<S: IntoSource>(&self, source: S) -> SchemaSource<S> {
        SchemaSource::new(Arc::clone(&self.0), source)
    }

    /// Returns a publisher that frames the events of these schemas, each as a CloudEvent in binary form: its attributes are headers, and the
    /// payload is the data alone. Other events are published as they are.
    ///
    /// Each schema is registered now, or looked up if it is [`existing`](EventSchema::existing): publishing needs no registry.
    ///
    /// # Errors
    /// As [`SchemaRegistry::register`] and [`find`](SchemaRegistry::find); a retry helps if the error is transient.
    /// [`ErrorKind::InvalidConfiguration`] for two schemas of one version of an event type.
    pub async fn publisher<P: Publisher>(
        &self,
        publisher: P,
        schemas: impl IntoIterator<Item = EventSchema>,
    ) -> Result<SchemaPublisher<P>, Error> {
        let mut framed = SchemaPublisher::new(publisher);
        for schema in schemas {
            let id = schema.id_in(self.0.registry()).await?;
            framed.add(schema, id)?;
        }
        Ok(framed)
    }

    /// Returns a message as [`source`](Self::source) yields it, for loops of your own.
    ///
    /// # Errors
    /// A transient error if the registry does not answer: retry. Others as [`SchemaRegistry::schema`], but for what is wrong with the schema
    /// alone: such a message is returned with the header [`UNREADABLE`](messagekit::headers::UNREADABLE).
    pub async fn decode(&self, mut message: Message) -> Result<Message, Error> {
        let Some((id, data)) = frame::split(&message) else { return Ok(message) };
        if self.0.known(id).is_none() {
            self.0.look_up(id).await?;
        }
        let reading = self.0.known(id).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "schema was looked up and is not kept: ask again")
                .with("schema", id)
        })?;
        reading.decode(id, data, &mut message);
        Ok(message)
    }
}
