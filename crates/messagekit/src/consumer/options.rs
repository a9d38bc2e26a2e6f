//! The options of a consumer that a user may set.

use std::num::NonZeroU32;
use std::time::Duration;

use super::observers::Observers;
use super::{Backoff, OnFailure};
use crate::handler::ClassifyError;
use crate::store::ParkingLimits;
use crate::transport::BatchLimit;

/// What a builder has collected; `None` leaves the choice to the source or the store.
pub(super) struct Options {
    pub(super) on_failure: Option<OnFailure>,
    pub(super) limits: ParkingLimits,
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) deadline: Option<Duration>,
    pub(super) unavailable_limit: Duration,
    pub(super) batch: Option<BatchLimit>,
    pub(super) window: Option<Duration>,
    pub(super) key_lanes: NonZeroU32,
    pub(super) calls: NonZeroU32,
    pub(super) classify: Option<ClassifyError>,
    pub(super) observers: Observers,
}
