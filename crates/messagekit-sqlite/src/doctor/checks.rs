//! The checks of a file.

use messagekit::operations::{
    Check, EVENT_TYPE_MISSPELT, EVENTS_REJECTED, RELAY_ABSENT, SCHEMA_PENDING, SERVICE_UNREACHABLE,
    TABLE_SOURCE_FAULTY,
};
use messagekit_topic_store::{CLAIMS_SCATTERED, CONSUMER_IDLE};

pub(super) const JOURNAL_MODE: Check = Check::warning(
    "journal-mode-not-wal",
    "readers stop the writer, and another program may have switched the mode while this one had the file open",
);
pub(super) const SYNCHRONOUS: Check =
    Check::warning("synchronous-not-full", "a power failure may lose the last commits");
pub(super) const LOG_LARGE: Check = Check::warning(
    "wal-large",
    "an open reader keeps the log from being reused: the disk fills, and every read goes through the log",
);
pub(super) const DISK_NEARLY_FULL: Check =
    Check::problem("disk-nearly-full", "a commit fails when the log finds no room");
pub(super) const DAMAGED: Check =
    Check::problem("file-damaged", "what is read from a damaged file may be wrong or missing");
pub(super) const DELAYED_UNREADABLE: Check =
    Check::problem("delayed-event-unreadable", "a delayed event that cannot be read is never due");

/// The checks that read no table of ours.
const ON_FILE: &[&Check] = &[
    &SERVICE_UNREACHABLE,
    &JOURNAL_MODE,
    &SYNCHRONOUS,
    &LOG_LARGE,
    &DISK_NEARLY_FULL,
    &DAMAGED,
    &SCHEMA_PENDING,
];

/// The checks that read tables.
pub(super) const ON_TABLES: &[&Check] = &[
    &RELAY_ABSENT,
    &EVENTS_REJECTED,
    &DELAYED_UNREADABLE,
    &TABLE_SOURCE_FAULTY,
    &EVENT_TYPE_MISSPELT,
    &CONSUMER_IDLE,
    &CLAIMS_SCATTERED,
];

/// Every check, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Check> {
    ON_FILE.iter().chain(ON_TABLES).copied()
}
