//! A replay as text.

use messagekit::operations::{ReplayJob, ReplayState};
use messagekit::{Error, ErrorKind};

use super::count::events;
use crate::output::{number, printable};

/// The filter of a replay: `type orders.order.placed, key o-1`.
pub(super) fn choice(job: &ReplayJob) -> String {
    let filter = &job.order.filter;
    let parts = [
        filter.event_type.as_ref().map(|text| format!("type {}", printable(text))),
        filter.topic.as_ref().map(|text| format!("topic {}", printable(text))),
        filter.key.as_ref().map(|text| format!("key {}", printable(text))),
        filter.from.map(|from| format!("from {from}")),
        filter.to.map(|to| format!("to {to}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "every event".to_owned() } else { parts.join(", ") }
}

/// `replay 3 is done: 12 of 12 events published`.
pub(super) fn in_words(job: &ReplayJob) -> String {
    let stands = match job.state {
        ReplayState::Running => "is running",
        ReplayState::Done => "is done",
        ReplayState::Cancelled => "was cancelled",
        ReplayState::Failed => "has failed",
    };
    let error = job.error.as_deref().map(|error| format!(": {}", printable(error))).unwrap_or_default();
    format!(
        "replay {} {stands}: {} of {} published{error}",
        job.id,
        number(job.published),
        events(job.events)
    )
}

/// Fails if a replay ended before its last event.
pub(super) fn ended(job: &ReplayJob) -> Result<(), Error> {
    match job.state {
        ReplayState::Done => Ok(()),
        _ => Err(Error::new(ErrorKind::WrongState, in_words(job))),
    }
}
