//! Which struct reads data of a version.

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
        Some((_, _, with)) if found.minor > with.minor && !accepts_newer_minor => Err(newer(found, known)),
        Some((_, index, _)) => Ok(index),
        None if known.iter().all(|versions| versions.own.major < found.major) => Err(newer(found, known)),
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

fn newer(found: DataVersion, known: &[ReadVersions]) -> Failure {
    let text = format!(
        "data is of version {found}, newer than {}, which this program reads: deploy the newer program, then retry",
        listed(known)
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
        Some(found) if found.major == own.major => serde_json::from_slice(data).map_err(|error| {
            let mut text = describe(&error);
            if found != own {
                text.push_str(&format!(
                    ", in data of version {found} that is read as {own}: within a major version only add fields \
                     that have a default, else raise it and add an upcaster"
                ));
            }
            Error::new(ErrorKind::Undecodable, text)
        }),
        Some(found) if found.major < own.major => E::read_earlier(EarlierData { version: found, data })
            .unwrap_or_else(|| Err(no_reader::<E>(version))),
        _ => Err(no_reader::<E>(version)),
    }
}

fn no_reader<E: Event>(version: &str) -> Error {
    let failure = choose(version, &[ReadVersions::of::<E>()], true).err();
    let text =
        failure.map_or_else(|| "no struct reads this data version".to_owned(), |failure| failure.error);
    Error::new(ErrorKind::Undecodable, text)
}

#[cfg(test)]
#[path = "read_versions_tests.rs"]
mod tests;
