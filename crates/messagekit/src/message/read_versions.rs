//! Which struct reads data of a version.

use std::fmt;

use super::json_error::describe;
use super::version::DataVersion;
use crate::event::{EarlierData, EarlierVersion, version_of};
use crate::store::{Failure, FailureKind};
use crate::{Error, ErrorKind, Event};

/// The versions that a struct is read from: its own, and earlier ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadVersions {
    own: DataVersion,
    earlier: Option<&'static EarlierVersion>,
}

impl ReadVersions {
    pub(crate) const fn of<E: Event>() -> Self {
        Self { own: version_of::<E>(), earlier: E::EARLIER }
    }

    pub(crate) fn own(&self) -> DataVersion {
        self.own
    }

    /// Returns the versions, newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = DataVersion> {
        std::iter::once(self.own).chain(self.earlier.into_iter().flat_map(EarlierVersion::versions))
    }

    /// Returns the version of the struct that data of a major version is read with.
    fn read_with(&self, major: u32) -> Option<DataVersion> {
        self.all().find(|version| version.major == major)
    }
}

/// Returns which of several structs of a type reads data of a version: the one of the same major version, else the
/// lowest that is read from it. `accepts_newer_minor` says whether data may be of a newer minor version.
pub(crate) fn choose(
    found: &str,
    known: &[ReadVersions],
    accepts_newer_minor: bool,
) -> Result<usize, Failure> {
    let Some(found) = DataVersion::read(found) else {
        return Err(Failure::permanent(FailureKind::Undecodable, "data version is not MAJOR.MINOR"));
    };
    let fitting = known.iter().enumerate().filter_map(|(index, versions)| {
        versions.read_with(found.major).map(|with| (versions.own.major, index, with))
    });
    match fitting.min_by_key(|(major, ..)| *major) {
        Some((_, _, with)) if found.minor > with.minor && !accepts_newer_minor => {
            Err(newer(found, &with.to_string()))
        }
        Some((_, index, _)) => Ok(index),
        None if known.iter().all(|versions| versions.own.major < found.major) => {
            Err(newer(found, &listed(known)))
        }
        None => Err(Failure::permanent(
            FailureKind::Undecodable,
            format!(
                "data is of version {found}, and this program reads {}: add an upcaster from version {} \
                 (`upcast_from`) or a handler of that version, deploy it, then retry",
                listed(known),
                found.major
            ),
        )),
    }
}

fn newer(found: DataVersion, known: &str) -> Failure {
    let text = format!(
        "data is of version {found}, newer than {known}, which this program reads: deploy the newer program, then retry"
    );
    Failure::permanent(FailureKind::NewerVersion, text)
}

fn listed(known: &[ReadVersions]) -> String {
    let mut versions: Vec<DataVersion> = known.iter().flat_map(ReadVersions::all).collect();
    versions.sort_unstable();
    versions.dedup();
    let texts: Vec<String> = versions.iter().map(DataVersion::to_string).collect();
    texts.join(", ")
}

/// Reads the data of an event in the version that is given with it, and upcasts what is of an earlier major version.
/// `data` is one JSON object; fields of the envelope in it do not matter.
///
/// # Errors
/// [`ErrorKind::Undecodable`] if the version is not one that the event reads, or if the data does not fit. A retry does
/// not help.
///
/// ```
/// use messagekit::Event;
/// use messagekit::adapter::codec;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed")]
/// struct OrderPlacedV1 { pence: i64 }
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", version = "2.0", upcast_from = OrderPlacedV1)]
/// struct OrderPlaced { amount: i64, currency: String }
///
/// impl From<OrderPlacedV1> for OrderPlaced {
///     fn from(old: OrderPlacedV1) -> Self {
///         Self { amount: old.pence, currency: "GBP".into() }
///     }
/// }
///
/// let placed: OrderPlaced = codec::read_data("1.0", br#"{"pence":995}"#)?;
/// assert_eq!((placed.amount, placed.currency.as_str()), (995, "GBP"));
/// assert!(codec::read_data::<OrderPlaced>("3.0", b"{}").is_err());
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn read_data<E: Event>(version: &str, data: &[u8]) -> Result<E, Error> {
    let own = version_of::<E>();
    match DataVersion::read(version) {
        Some(found) if found.major == own.major => read_own(found, own, data),
        found => {
            let versions = [ReadVersions::of::<E>()];
            let chosen = choose(version, &versions, true);
            chosen.map_err(|failure| Error::new(ErrorKind::Undecodable, failure.error))?;
            E::read_earlier(EarlierData { version: found.unwrap_or(own), data })
        }
    }
}

fn read_own<E: Event>(found: DataVersion, own: DataVersion, data: &[u8]) -> Result<E, Error> {
    // Check explicitly: serde reads an array as a struct, field by position.
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::new(ErrorKind::Undecodable, "data is not a JSON object"));
    }
    serde_json::from_slice(data).map_err(|error| {
        let mut text = describe(&error);
        if found != own {
            text.push_str(&format!(
                ", in data of version {found} that is read as {own}: within a major version only add fields that have a \
                 default, else raise it and add an upcaster"
            ));
        }
        Error::new(ErrorKind::Undecodable, text)
    })
}

impl EarlierData<'_> {
    /// Reads the data as `Earlier`, or as what that is read from, and converts it.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] if the data does not fit its struct, or if the conversion refuses it.
    pub fn upcast<Earlier, E>(self) -> Result<E, Error>
    where
        Earlier: Event,
        E: TryFrom<Earlier, Error: fmt::Display>,
    {
        let own = version_of::<Earlier>();
        let earlier = if self.version.major == own.major {
            read_own::<Earlier>(self.version, own, self.data)
                .map_err(|error| error.with("data_version", self.version))?
        } else {
            Earlier::read_earlier(self)?
        };
        E::try_from(earlier).map_err(|error| {
            let text = format!("upcaster from version {own} refuses the data: {error}");
            Error::new(ErrorKind::Undecodable, text)
        })
    }

    /// Returns the error for data that `E` does not read.
    pub(crate) fn unread<E: Event>(self) -> Error {
        let text = format!("data of version {} is not read by version {}", self.version, version_of::<E>());
        Error::new(ErrorKind::Undecodable, text)
    }
}

#[cfg(test)]
#[path = "read_versions_tests.rs"]
mod tests;
