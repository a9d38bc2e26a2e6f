//! The shape of JSON data, so that programs in several languages agree on it.
//!
//! A [`Shape`] is what a JSON Schema says of the structure alone. Titles, descriptions, formats, bounds, definitions and the spelling
//! of null are no part of it: a Rust struct and a Pydantic model of the same data have the same shape. [`canonical`] writes a
//! value as the bytes over which every language computes the same hash.

pub mod canonical;
mod compare;
mod compatibility;
mod contracts;
mod data_check;
mod decimal;
mod exact_reader;
mod format;
mod of_service;
mod reading;
mod reading_check;
mod service;
mod shape;
#[cfg(feature = "json-schema")]
mod validation;

pub use compare::{Difference, differences, is_compatible};
pub use compatibility::{Compatibility, Incompatibility};
pub use contracts::{Contract, ContractProblem, Contracts};
pub(crate) use data_check::DataCheck;
pub use reading_check::{Unread, UnreadReason, unread};
pub use service::{EventVersion, Service};
pub use shape::{Field, OtherFields, Shape};
#[cfg(feature = "json-schema")]
pub use validation::{Validation, ValidationMode};
