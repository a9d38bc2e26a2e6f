//! The statements, as plain functions over a connection. None of them starts a thread, ends a transaction or takes a
//! lock.

pub(crate) mod actions;
pub(crate) mod append;
pub(crate) mod audit;
pub(crate) mod audit_list;
mod blocked_keys;
pub(crate) mod bookkeeping;
pub(crate) mod cleanup;
mod columns;
pub(crate) mod consumer_records;
pub(crate) mod cursors;
pub(crate) mod dedup_hash;
pub(crate) mod delayed;
pub(crate) mod dropped_topics;
pub(crate) mod event_links;
pub(crate) mod event_record;
mod failed_message_filter;
mod failed_message_head;
pub(crate) mod failed_message_lists;
mod failed_message_row;
pub(crate) mod failed_messages;
mod failed_runs;
pub(crate) mod handled_records;
pub(crate) mod in_flight_attempts;
pub(crate) mod names;
pub(crate) mod offsets;
mod operator_row;
pub(crate) mod outbox_events;
pub(crate) mod parking;
pub(crate) mod pending;
pub(crate) mod pipeline_records;
pub(crate) mod primings;
pub(crate) mod processed;
pub(crate) mod read;
pub(crate) mod record_claims;
pub(crate) mod record_ids;
pub(crate) mod rejected;
pub(crate) mod replay_items;
pub(crate) mod replay_jobs;
pub(crate) mod retention;
pub(crate) mod retention_rule;
pub(crate) mod retries;
pub(crate) mod selections;
pub(crate) mod shards;
pub(crate) mod status;
pub(crate) mod stored_events;
pub(crate) mod table_sources;
pub(crate) mod topic_definitions;
pub(crate) mod topic_migrations;
pub(crate) mod topic_records;
pub(crate) mod topic_views;
pub(crate) mod topics;
pub(crate) mod unhandled_types;
pub(crate) mod unpublished;
pub(crate) mod waiting_changes;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use messagekit::{Error, ErrorKind};

/// Returns this machine's time in the tables' format.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Converts a time of a table.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros)
        .map_err(|error| Error::new(ErrorKind::Corrupt, "stored time is out of range").caused_by(error))
}

/// Converts a time to the tables' format.
pub(crate) fn micros_of(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Returns the age of what has this time. What is newer than the clock is new.
pub(crate) fn age(now: i64, time: i64) -> std::time::Duration {
    std::time::Duration::from_micros(u64::try_from(now - time).unwrap_or(0))
}

/// Converts a length to the tables' format.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Converts a delay to be added to [`now`]; caps it at a hundred years.
pub(crate) fn micros(delay: std::time::Duration) -> i64 {
    const CENTURY: u128 = 100 * 365 * 24 * 3_600 * 1_000_000;
    i64::try_from(delay.as_micros().min(CENTURY)).unwrap_or(i64::MAX)
}
