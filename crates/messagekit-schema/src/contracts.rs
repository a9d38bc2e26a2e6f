//! The schemas of a service's events, by type and version.

use std::fmt;

use messagekit::DataVersion;
use messagekit::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::differences;
use super::compatibility::Compatibility;
use super::service::Service;
use super::shape::Shape;

/// The version of the document.
const FORMAT: u32 = 1;

/// The schemas of events by type and version: what a service writes and reads, as a document for its repository.
///
/// A baseline holds every version that was ever deployed; [`check`](Self::check) says what a change would break, and
/// [`merge`](Self::merge) adds new versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contracts {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Service>,
    events: Vec<Contract>,
}

/// The schema of one version of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// The event type.
    pub event_type: String,
    /// The topic it is published to.
    pub topic: String,
    /// `MAJOR.MINOR` of its data.
    pub version: String,
    /// The earlier versions that its struct is upcast from, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// The JSON Schema of its data.
    pub schema: Value,
}

/// A change of a contract that must not be deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractProblem {
    /// The event type.
    pub event_type: String,
    /// The version of the baseline.
    pub before: String,
    /// The version now; `None` if the event is gone.
    pub now: Option<String>,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for ContractProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event_type, self.before)?;
        if let Some(now) = self.now.as_ref().filter(|now| **now != self.before) {
            write!(f, " to {now}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl Contracts {
    /// Gathers contracts, ordered by type and version.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a version that is not `MAJOR.MINOR`, for two contracts of one type and
    /// version, and for a schema without a [shape](Shape::with_formats).
    pub fn new(events: impl IntoIterator<Item = Contract>) -> Result<Self, Error> {
        let mut events: Vec<Contract> = events.into_iter().collect();
        for event in &events {
            event.data_version()?;
            event.shape()?;
        }
        events.sort_by(|one, other| one.order().cmp(&other.order()));
        match events.windows(2).find(|pair| pair[0].order() == pair[1].order()) {
            Some(pair) => Err(pair[0].refused("two contracts for one version of an event type: keep one")),
            None => Ok(Self { format: FORMAT, service: None, events }),
        }
    }

    /// Reads a document that [`to_text`](Self::to_text) has written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is none, of another format, or as [`new`](Self::new) and [`of_service`](Self::of_service).
    pub fn read(text: &str) -> Result<Self, Error> {
        let Self { format, service, events } = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::InvalidConfiguration, "this is no document of contracts").caused_by(error)
        })?;
        if format != FORMAT {
            let text = format!("contracts are of format {format}, and this program reads {FORMAT}");
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        let contracts = Self::new(events)?;
        match service {
            Some(service) => contracts.of_service(service),
            None => Ok(contracts),
        }
    }

    /// Returns the document: one text for equal contracts, with a line for each value, so that changes of it can be reviewed.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and lists can be written as JSON") + "\n"
    }

    /// Returns the contracts, by type and version.
    pub fn events(&self) -> &[Contract] {
        &self.events
    }

    /// Returns what a deployment of `current` would break, if this is the baseline; nothing if it may be deployed.
    ///
    /// The schema of a version never changes. Within a major version `mode` decides what may; a new major version needs a
    /// struct that still reads the ones before, unless the mode is [`Forward`](Compatibility::Forward).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a schema without a shape.
    pub fn check(&self, current: &Self, mode: Compatibility) -> Result<Vec<ContractProblem>, Error> {
        let mut problems = Vec::new();
        for before in &self.events {
            let same_type = || current.events.iter().filter(|now| now.event_type == before.event_type);
            let version = before.data_version()?;
            let mut same_major = None;
            for now in same_type() {
                if now.data_version()?.major == version.major {
                    same_major = Some(now);
                }
            }
            match same_major {
                Some(now) => problems.extend(before.check_minor(now, mode)?),
                None if same_type().next().is_none() => problems.push(before.problem(
                    None,
                    "no struct of this type is left: keep it, or take the type out of the baseline when no topic and no failed \
                     message holds it",
                )),
                None if mode == Compatibility::Forward || same_type().any(|now| now.upcasts(version)) => {}
                None => problems.push(before.problem(
                    same_type().next_back(),
                    "no struct reads data of this major version: add an upcaster (`upcast_from`) or keep the struct",
                )),
            }
        }
        problems.dedup();
        Ok(problems)
    }

    /// Returns the versions of `current` that this baseline does not have: once deployed, nothing would hold their schemas.
    pub fn missing<'a>(&'a self, current: &'a Self) -> impl Iterator<Item = &'a Contract> {
        current.events.iter().filter(|now| {
            let is_it =
                |before: &&Contract| before.event_type == now.event_type && before.version == now.version;
            !self.events.iter().any(|before| is_it(&before))
        })
    }

    /// Adds the versions of `current` that this baseline does not have; returns how many.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn merge(&mut self, current: &Self) -> Result<usize, Error> {
        let known = self.events.len();
        let events: Vec<Contract> = self.events.iter().chain(self.missing(current)).cloned().collect();
        self.events = Self::new(events)?.events;
        Ok(self.events.len() - known)
    }
}

impl Contract {
    fn data_version(&self) -> Result<DataVersion, Error> {
        DataVersion::read(&self.version).ok_or_else(|| self.refused("version is not MAJOR.MINOR, like 1.0"))
    }

    fn shape(&self) -> Result<Shape, Error> {
        Shape::with_formats(&self.schema)
            .map_err(|error| self.refused("schema has no shape").caused_by(error))
    }

    fn order(&self) -> (&str, Option<DataVersion>) {
        (&self.event_type, DataVersion::read(&self.version))
    }

    fn upcasts(&self, version: DataVersion) -> bool {
        let mut earlier = self.earlier.iter().filter_map(|earlier| DataVersion::read(earlier));
        earlier.any(|earlier| earlier.major == version.major)
    }

    /// Checks against a contract of the same major version.
    fn check_minor(&self, now: &Self, mode: Compatibility) -> Result<Vec<ContractProblem>, Error> {
        if now.topic != self.topic {
            let text =
                format!("the topic was {} and is {}: its consumers read the old one", self.topic, now.topic);
            return Ok(vec![self.problem(Some(now), text)]);
        }
        let (version, newer) = (self.data_version()?, now.data_version()?);
        let (before, after) = (self.shape()?, now.shape()?);
        if newer < version {
            return Ok(vec![
                self.problem(Some(now), "the version went back: a version that was deployed stays"),
            ]);
        }
        if newer == version {
            let found = differences(&before, &after);
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            let text = format!(
                "the schema changed and the version did not: raise the minor version if you only added fields that have a \
                 default, else the major version ({})",
                texts.join("; ")
            );
            return Ok(if found.is_empty() { Vec::new() } else { vec![self.problem(Some(now), text)] });
        }
        let found = mode.check(&before, &after);
        let texts = found.iter().map(|one| {
            format!("{one}: give a new field a default, or raise the major version and add an upcaster")
        });
        Ok(texts.map(|text| self.problem(Some(now), text)).collect())
    }

    fn problem(&self, now: Option<&Self>, problem: impl Into<String>) -> ContractProblem {
        ContractProblem {
            event_type: self.event_type.clone(),
            before: self.version.clone(),
            now: now.map(|now| now.version.clone()),
            problem: problem.into(),
        }
    }

    fn refused(&self, text: &'static str) -> Error {
        Error::new(ErrorKind::InvalidConfiguration, text)
            .with("event_type", &self.event_type)
            .with("data_version", &self.version)
    }
}
