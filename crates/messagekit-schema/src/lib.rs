//! The contracts of events, so that programs in several languages agree on their data.
//!
//! A [`Shape`] is what a JSON Schema says of the structure alone. Titles, descriptions, formats, bounds, definitions and the spelling
//! of null are no part of it: a Rust struct and a Pydantic model of the same data have the same shape. [`canonical`] writes a
//! value as the bytes over which every language computes the same hash.

pub mod canonical;
mod compare;
mod compatibility;
mod contracts;
mod decimal;
mod exact_reader;
mod format;
mod of_service;
mod reading;
mod reading_check;
mod registry;
mod service;
mod shape;
mod validation;

pub use compare::{Difference, differences, is_compatible};
pub use compatibility::{Compatibility, Incompatibility};
pub use contracts::{Contract, ContractProblem, Contracts};
pub use reading_check::{Unread, UnreadReason, unread};
pub use registry::EventContracts;
pub use service::{EventVersion, Service};
pub use shape::{Field, OtherFields, Shape};
pub use validation::{Validation, ValidationMode};
