//! The statements, as plain functions over a connection. None of them begins or ends a transaction.

pub(crate) mod actions;
pub(crate) mod audit;
pub(crate) mod blocked_keys;
pub(crate) mod bookkeeping;
pub(crate) mod claim_windows;
pub(crate) mod cleanup;
pub(crate) mod columns;
pub(crate) mod commit_look;
pub(crate) mod consumer_records;
pub(crate) mod cursors;
pub(crate) mod days;
pub(crate) mod delayed;
pub(crate) mod dropped_topics;
pub(crate) mod event_links;
pub(crate) mod event_record;
pub(crate) mod events;
pub(crate) mod failed_message_lists;
mod failed_message_row;
pub(crate) mod failed_messages;
mod failed_runs;
pub(crate) mod handled_records;
pub(crate) mod health;
pub(crate) mod in_flight_attempts;
mod index_steps;
mod key_hash;
pub(crate) mod left;
mod next_offsets;
pub(crate) mod offsets;
mod operator_row;
pub(crate) mod outbox_counts;
pub(crate) mod outbox_events;
pub(crate) mod parking;
pub(crate) mod pending;
pub(crate) mod primings;
pub(crate) mod processed;
pub(crate) mod record_claims;
pub(crate) mod rejected;
pub(crate) mod replay_items;
pub(crate) mod replay_jobs;
pub(crate) mod retention;
pub(crate) mod retries;
pub(crate) mod selections;
pub(crate) mod shards;
pub(crate) mod statements;
pub(crate) mod status;
pub(crate) mod stored_events;
pub(crate) mod table_sources;
pub(crate) mod topic_append;
pub(crate) mod topic_migrations;
pub(crate) mod topic_records;
pub(crate) mod topic_views;
pub(crate) mod topics;
pub(crate) mod unhandled_types;
pub(crate) mod unpublished;
pub(crate) mod waiting;

use std::time::Duration;

use messagekit::adapter::{Failure, Next};

/// Converts a time to microseconds for a statement; caps it at a hundred years.
fn micros(time: Duration) -> f64 {
    const CENTURY: f64 = 100.0 * 365.0 * 24.0 * 3_600.0;
    time.as_secs_f64().min(CENTURY) * 1e6
}

/// Converts an age of a statement, in microseconds. What is newer than the clock is new.
fn age(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Returns the state after a failure, and in how many microseconds the failed message is due.
fn after(failure: &Failure) -> (&'static str, Option<f64>) {
    match failure.next {
        Next::Retry(delay) => ("retry_scheduled", Some(micros(delay))),
        Next::Dead => ("dead", None),
    }
}

/// Integers in the tables have 31 bits.
fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A text column refuses NUL.
fn clean(text: &str) -> String {
    text.replace('\0', " ")
}
