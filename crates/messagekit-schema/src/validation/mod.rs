//! Checking data against the schemas of a service.

mod compile;
mod fault;
mod formats;
mod rules;
mod scan;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::DataVersion;
use messagekit::adapter::DataCheck;
use messagekit::{Error, ErrorKind};
use rules::Rules;

use super::contracts::Contracts;

/// How many different problems are logged; more say nothing new.
const MAX_LOGGED: usize = 1_000;

/// What happens to data that does not match its schema.
///
/// ```
/// use messagekit_schema::ValidationMode;
///
/// assert_eq!("warn".parse::<ValidationMode>()?, ValidationMode::Warn);
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValidationMode {
    /// It is refused: an outbox does not write it, and a consumer makes a dead letter of it.
    Strict,
    /// It is logged at level warn, each problem once, and goes on.
    Warn,
    /// It is not looked at.
    #[default]
    Off,
}

const NAMES: [(ValidationMode, &str); 3] =
    [(ValidationMode::Strict, "strict"), (ValidationMode::Warn, "warn"), (ValidationMode::Off, "off")];

impl fmt::Display for ValidationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(mode, _)| mode == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for ValidationMode {
    type Err = Error;

    /// Reads `strict`, `warn` or `off`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another text. A retry does not help.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(mode, _)| *mode).ok_or_else(|| {
            let text = format!("validation {text:?} is not known: write strict, warn or off");
            Error::new(ErrorKind::InvalidConfiguration, text)
        })
    }
}

/// The schemas of a service, ready to check data: for [`Outbox::validation`](messagekit::Outbox::validation) and
/// [`ConsumerBuilder::validation`](messagekit::ConsumerBuilder::validation). A clone shares them.
///
/// Data is checked by the schema of its type and version, else by the newest one of its major version; without one it is not
/// checked. The bounds of numbers, the lengths of texts and lists, patterns and the formats of texts count, which a struct alone
/// does not see.
///
/// ```
/// use messagekit_schema::{EventContracts, Validation, ValidationMode};
/// use messagekit::{Event, EventRegistry};
/// use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced {
///     order_id: String,
///     #[schemars(range(min = 1))]
///     pence: i64,
/// }
///
/// let contracts = EventRegistry::new().with_schema::<OrderPlaced>()?.contracts()?;
/// let validation = Validation::new(&contracts, ValidationMode::Strict)?;
/// let check = |data: &str| validation.check("orders.order.placed", "1.0", data.as_bytes());
/// check(r#"{"order_id":"o-1","pence":5}"#)?;
/// let error = check(r#"{"order_id":"o-1","pence":0}"#).unwrap_err();
/// assert!(error.to_string().contains("`pence` breaks `minimum`"));
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone)]
pub struct Validation(Option<Arc<Checked>>);

struct Checked {
    is_strict: bool,
    events: BTreeMap<String, Vec<(DataVersion, Rules)>>,
    logged: Mutex<BTreeSet<String>>,
}

impl Validation {
    /// Makes the schemas of contracts ready.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a schema that is none. A retry does not help.
    pub fn new(contracts: &Contracts, mode: ValidationMode) -> Result<Self, Error> {
        if mode == ValidationMode::Off {
            return Ok(Self(None));
        }
        let mut events: BTreeMap<String, Vec<(DataVersion, Rules)>> = BTreeMap::new();
        for contract in contracts.events() {
            let Some(version) = DataVersion::read(&contract.version) else { continue };
            let rules = Rules::of(&contract.schema).map_err(|error| {
                error.with("event_type", &contract.event_type).with("data_version", &contract.version)
            })?;
            let versions = events.entry(contract.event_type.clone()).or_default();
            versions.push((version, rules));
        }
        let is_strict = mode == ValidationMode::Strict;
        Ok(Self(Some(Arc::new(Checked { is_strict, events, logged: Mutex::default() }))))
    }

    /// Checks the data of an event: one JSON object, in which fields of the envelope do not matter. Data that is no JSON passes: what
    /// reads it next says so.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] for data that does not match, if the mode is [`Strict`](ValidationMode::Strict); it names field
    /// and rule, and no value. A retry does not help.
    pub fn check(&self, event_type: &str, data_version: &str, data: &[u8]) -> Result<(), Error> {
        self.0.as_ref().map_or(Ok(()), |checked| checked.check_written(event_type, data_version, data))
    }
}

impl From<Validation> for Option<Arc<dyn DataCheck>> {
    fn from(validation: Validation) -> Self {
        validation.0.map(|checked| checked as Arc<dyn DataCheck>)
    }
}

impl DataCheck for Checked {
    fn check(&self, event_type: &str, data_version: &str, data: &[u8]) -> Result<(), String> {
        let versions = self.events.get(event_type).map_or(&[][..], Vec::as_slice);
        let Some(found) = DataVersion::read(data_version) else { return Ok(()) };
        let of_major = versions.iter().filter(|(known, _)| known.major == found.major);
        let newest = || of_major.max_by_key(|(known, _)| known.minor);
        let Some((known, rules)) = versions.iter().find(|(known, _)| *known == found).or_else(newest) else {
            return Ok(());
        };
        let Some(fault) = rules.fault_of(data) else { return Ok(()) };
        let text = format!("data does not match the schema of version {known}: {fault}");
        if self.is_strict {
            return Err(text);
        }
        if self.is_new(format!("{event_type} {text}")) {
            tracing::warn!(event_type, data_version, "{text}");
        }
        Ok(())
    }

    fn types(&self) -> Vec<&str> {
        self.events.keys().map(String::as_str).collect()
    }
}

impl Checked {
    fn is_new(&self, problem: String) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < MAX_LOGGED && logged.insert(problem)
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events.iter();
        let named =
            events.flat_map(|(event, all)| all.iter().map(move |(version, _)| format!("{event} {version}")));
        f.debug_list().entries(named).finish()
    }
}

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(checked) => f.debug_tuple("Validation").field(checked).finish(),
            None => f.write_str("Validation(off)"),
        }
    }
}

#[cfg(test)]
mod tests;
