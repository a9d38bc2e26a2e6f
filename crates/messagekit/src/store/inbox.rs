//! What a consumer keeps in its database.

use super::{Attempts, FailedMessageRows, Markers, Positions, Primings, Retries};

/// A database that keeps all of a consumer: its markers, positions, failed messages and their retries, attempts and primings. It is
/// implemented by its parts.
pub trait Inbox: Markers + Positions + FailedMessageRows + Retries + Attempts + Primings {}

impl<S: Markers + Positions + FailedMessageRows + Retries + Attempts + Primings> Inbox for S {}
