//! The contracts of the events that a registry knows.

use messagekit::{Error, EventRegistry};

use crate::{Contract, Contracts};

/// Makes contracts of the events of an [`EventRegistry`].
pub trait EventContracts {
    /// Returns the contracts of the events that have a schema.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a schema without a
    /// [shape](crate::Shape::with_formats). A retry does not help.
    fn contracts(&self) -> Result<Contracts, Error>;
}

impl EventContracts for EventRegistry {
    fn contracts(&self) -> Result<Contracts, Error> {
        let with_schema = self.events().into_iter().filter_map(|event| {
            Some(Contract {
                event_type: event.event_type.to_owned(),
                topic: event.topic.to_owned(),
                version: event.version.to_string(),
                earlier: event.earlier.iter().map(ToString::to_string).collect(),
                schema: event.schema?,
            })
        });
        Contracts::new(with_schema)
    }
}
