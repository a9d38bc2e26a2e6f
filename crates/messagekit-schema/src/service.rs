//! A service with the events that it writes and reads.

use messagekit::DataVersion;
use messagekit::adapter::check_name;
use messagekit::event::version_of;
use messagekit::{Error, ErrorKind, Event};
use serde::{Deserialize, Serialize};

/// The most characters of a service's name.
const LONGEST_NAME: usize = 100;

/// A service with the events that it writes and reads, for [`Contracts::of_service`](super::Contracts::of_service).
///
/// Readers of its document know from it who owns an event and who depends on it: `messagekit catalog` needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default)]
    writes: Vec<EventVersion>,
    #[serde(default)]
    reads: Vec<EventVersion>,
}

/// A version of an event: what names a [`Contract`](super::Contract).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventVersion {
    /// The event type.
    pub event_type: String,
    /// `MAJOR.MINOR` of its data.
    pub version: String,
}

impl EventVersion {
    fn of<E: Event>() -> Self {
        Self { event_type: E::TYPE.to_owned(), version: version_of::<E>().to_string() }
    }

    /// Returns whether it is this version of this type.
    ///
    /// ```
    /// use messagekit_schema::EventVersion;
    ///
    /// let placed = EventVersion { event_type: "orders.order.placed".into(), version: "1.0".into() };
    /// assert!(placed.is("orders.order.placed", "1.0") && !placed.is("orders.order.placed", "2.0"));
    /// ```
    pub fn is(&self, event_type: &str, version: &str) -> bool {
        self.event_type == event_type && DataVersion::read(&self.version) == DataVersion::read(version)
    }
}

impl Service {
    /// Creates a service that writes and reads nothing. Its name is 1 to 100 characters of `a-z A-Z 0-9 . _ -`, which
    /// [`Contracts::of_service`](super::Contracts::of_service) checks.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), owner: None, writes: Vec::new(), reads: Vec::new() }
    }

    /// Sets who answers for it, such as a team.
    #[must_use]
    pub fn owner(self, owner: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    /// Adds an event that it writes, in the version of the struct.
    #[must_use]
    pub fn writes<E: Event>(mut self) -> Self {
        self.writes.push(EventVersion::of::<E>());
        self
    }

    /// Adds an event that it reads, in the version of the struct. What the struct is upcast from is read with it.
    #[must_use]
    pub fn reads<E: Event>(mut self) -> Self {
        self.reads.push(EventVersion::of::<E>());
        self
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns who answers for it.
    pub fn owned_by(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns the versions that it writes, by type.
    pub fn written(&self) -> &[EventVersion] {
        &self.writes
    }

    /// Returns the versions that it reads, by type.
    pub fn read(&self) -> &[EventVersion] {
        &self.reads
    }

    /// Checks it against the contracts beside it, and brings it into the one form of its document.
    pub(super) fn checked(mut self, has_contract: impl Fn(&EventVersion) -> bool) -> Result<Self, Error> {
        check_name("service", &self.name, LONGEST_NAME)?;
        let refused = |text| Error::new(ErrorKind::InvalidConfiguration, text).with("service", &self.name);
        if self.owner.as_ref().is_some_and(|owner| owner.trim().is_empty()) {
            return Err(refused("owner of the service is empty: leave it out, or write a name"));
        }
        let without = |uses: &[EventVersion], text| {
            let unknown = uses.iter().find(|one| !has_contract(one));
            unknown.map_or(Ok(()), |one| {
                Err(refused(text).with("event_type", &one.event_type).with("data_version", &one.version))
            })
        };
        without(
            &self.writes,
            "service writes an event that is not in its contracts: add its struct to the registry by `with_schema`",
        )?;
        without(
            &self.reads,
            "service reads an event that is not in its contracts: add its struct to the registry by `with_schema`",
        )?;
        for uses in [&mut self.writes, &mut self.reads] {
            uses.sort_by_key(|one| (one.event_type.clone(), DataVersion::read(&one.version)));
            uses.dedup();
        }
        Ok(self)
    }
}
