//! The statements, as plain functions over a connection. None of them begins or ends a transaction.

pub(crate) mod actions;
pub(crate) mod blocked_keys;
pub(crate) mod bookkeeping;
pub(crate) mod cleanup;
pub(crate) mod columns;
pub(crate) mod days;
pub(crate) mod events;
pub(crate) mod failed_message_lists;
mod failed_message_row;
pub(crate) mod failed_messages;
pub(crate) mod health;
pub(crate) mod in_flight_attempts;
mod key_hash;
pub(crate) mod offsets;
pub(crate) mod parking;
pub(crate) mod pending;
pub(crate) mod processed;
pub(crate) mod rejected;
pub(crate) mod replay_items;
pub(crate) mod replay_jobs;
pub(crate) mod retries;
pub(crate) mod shards;
pub(crate) mod stored_events;

use std::time::Duration;

use messagekit::adapter::{Failure, Next};

/// Every statement with its name, for the test of their plans.
pub(crate) const STATEMENTS: &[(&str, &str)] = &[
    ("claim", processed::CLAIM),
    ("claim_keyed", processed::CLAIM_KEYED),
    ("claim_generation", processed::CLAIM_GENERATION),
    ("look", processed::LOOK),
    ("look_keyed", processed::LOOK_KEYED),
    ("unclaim", processed::UNCLAIM),
    ("advance", offsets::ADVANCE),
    ("next_of", offsets::NEXT_OF),
    ("set_aside", failed_messages::SET_ASIDE),
    ("hold_keys", blocked_keys::HOLD),
    ("held_in_all", blocked_keys::IN_ALL),
    ("let_go", blocked_keys::LET_GO),
    ("lock_keys", blocked_keys::LOCK),
    ("count_keys", blocked_keys::COUNT),
    ("promote", blocked_keys::PROMOTE),
    ("free", blocked_keys::FREE),
    ("park_mark", parking::MARK),
    ("park_failed_messages", parking::FAILED_MESSAGES),
    ("list", failed_message_lists::LIST),
    ("page", failed_message_lists::PAGE),
    ("page_of_state", failed_message_lists::PAGE_OF_STATE),
    ("first_of_state", failed_message_lists::FIRST_OF_STATE),
    ("ids", failed_message_lists::IDS),
    ("show", failed_message_lists::SHOW),
    ("totals", failed_message_lists::TOTALS),
    ("groups", failed_message_lists::GROUPS),
    ("lock", actions::LOCK),
    ("retry", actions::RETRY),
    ("discard", actions::DISCARD),
    ("undo", actions::UNDO),
    ("mark", actions::MARK),
    ("audit", actions::AUDIT),
    ("suspect", in_flight_attempts::BEGIN_ATTEMPT),
    ("absolve", in_flight_attempts::CLEAR_ATTEMPTS),
    ("stand_down", in_flight_attempts::WITHDRAW_ATTEMPT),
    ("sweep", in_flight_attempts::SWEEP),
    ("left", cleanup::LEFT),
    ("clean_events", cleanup::EVENTS),
    ("clean_markers", cleanup::MARKERS),
    ("clean_failed_messages", cleanup::FAILED_MESSAGES),
    ("hold_windows", cleanup::HOLD_WINDOWS),
    ("note_window", cleanup::NOTE_WINDOW),
    ("oldest_return", cleanup::OLDEST_RETURN),
    ("too_old_for", stored_events::TOO_OLD_FOR),
    ("note_failure", bookkeeping::NOTE_FAILURE),
    ("lease_returns", bookkeeping::LEASE_RETURNS),
    ("lease", retries::LEASE),
    ("begin_run", retries::BEGIN_RUN),
    ("followers", retries::FOLLOWERS),
    ("resolve", retries::RESOLVE),
    ("resolve_parked", retries::RESOLVE_PARKED),
    ("resolve_run", retries::RESOLVE_RUN),
    ("fail", retries::FAIL),
    ("hand_back", retries::HAND_BACK),
    ("events", stored_events::EVENTS),
    ("count", stored_events::COUNT),
    ("skipped_by", stored_events::SKIPPED_BY),
    ("reaches", stored_events::REACHES),
    ("oldest", stored_events::OLDEST),
    ("order", replay_jobs::ORDER),
    ("choose", replay_items::CHOOSE),
    ("chosen", replay_jobs::CHOSEN),
    ("replay", replay_jobs::REPLAY),
    ("replays", replay_jobs::REPLAYS),
    ("cancel", replay_jobs::CANCEL),
    ("lease_replay", replay_jobs::LEASE_REPLAY),
    ("hold", replay_jobs::HOLD),
    ("copy", replay_items::COPY),
    ("take", replay_items::TAKE),
    ("move", replay_jobs::MOVE),
    ("fail_replay", replay_jobs::FAIL_REPLAY),
    ("forget", replay_items::FORGET),
    ("confirmed", health::CONFIRMED),
    ("waiting", health::WAITING),
    ("relayed", health::RELAYED),
    ("last_checkpoint", health::LAST_CHECKPOINT),
    ("may_write", health::MAY_WRITE),
    ("checkpoint", health::CHECKPOINT),
    ("prune", health::PRUNE),
    ("ping", health::PING),
    ("write", events::WRITE),
    ("write_one", events::WRITE_ONE),
    ("write_optional", events::WRITE_OPTIONAL),
    ("relay_lease", shards::LEASE),
    ("relay_hand_over", shards::HAND_OVER),
    ("relay_leave", shards::LEAVE),
    ("relay_hold", shards::HOLD),
    ("relay_hold_any", shards::HOLD_ANY),
    ("relay_begin_again", shards::BEGIN_AGAIN),
    ("relay_pending", pending::PENDING),
    ("relay_last_place", pending::LAST_PLACE),
    ("relay_writers", pending::WRITERS),
    ("relay_published", pending::PUBLISHED),
    ("relay_due", pending::DUE),
    ("relay_next_due", pending::NEXT_DUE),
    ("relay_set_aside", rejected::SET_ASIDE),
    ("relay_rejected", rejected::LIST),
    ("relay_find", rejected::FIND),
    ("relay_put_back", rejected::PUT_BACK),
    ("relay_give_up", rejected::GIVE_UP),
];

/// Converts a time to microseconds for a statement; caps it at a hundred years.
fn micros(time: Duration) -> f64 {
    const CENTURY: f64 = 100.0 * 365.0 * 24.0 * 3_600.0;
    time.as_secs_f64().min(CENTURY) * 1e6
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
