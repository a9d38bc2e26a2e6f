//! The checks of a database, in the parts that are made together.

use messagekit::operations::{
    CLOCK_DIFFERS, Check, EVENT_TYPE_MISSPELT, EVENTS_REJECTED, RELAY_ABSENT, SCHEMA_PENDING,
    SERVICE_UNREACHABLE, TABLE_SOURCE_FAULTY,
};
use messagekit_topic_store::{CLAIMS_SCATTERED, CONSUMER_IDLE};

pub(super) const WAL_LEVEL: Check = Check::problem(
    "wal-level-not-logical",
    "the server does not write what a connector reads, and no slot can be made",
);
pub(super) const PUBLICATION_MISSING: Check =
    Check::problem("publication-missing", "a slot without its publication fails at the first event");
pub(super) const PUBLICATION_OF_ALL_TABLES: Check = Check::problem(
    "publication-of-all-tables",
    "the connector would read each change of the database as if it were an event",
);
pub(super) const PUBLICATION_WITHOUT_OUTBOX: Check =
    Check::problem("publication-without-outbox", "no event leaves the outbox, and the slot passes over all");
pub(super) const PUBLICATION_FILTERED: Check =
    Check::problem("publication-filtered", "events or parts of them are left out for good");
pub(super) const PUBLICATION_OF_MORE_TABLES: Check = Check::warning(
    "publication-of-more-tables",
    "the connector reads rows that are no events, and the slot decodes them",
);
pub(super) const PUBLICATION_NOT_OF_INSERTS: Check = Check::problem(
    "publication-not-of-inserts",
    "events are inserts: a cleanup's deletes must not be published, and inserts must be",
);
pub(super) const PUBLICATION_NOT_VIA_ROOT: Check = Check::problem(
    "publication-not-via-root",
    "rows of an outbox partitioned by day would carry the name of their partition, which no connector reads",
);
pub(super) const CAPTURE_ROLE: Check =
    Check::problem("capture-role-lacks-rights", "the connector cannot log in and read the slot");
pub(super) const SLOT_MISSING: Check =
    Check::problem("slot-missing", "the log is not kept: events of this time are never captured");
pub(super) const SLOT_FOREIGN: Check = Check::problem(
    "slot-foreign",
    "the name belongs to another purpose, and no connector can read events from it",
);
pub(super) const SLOT_LOST: Check = Check::problem(
    "slot-lost",
    "the server has removed log that was not read: its events are never captured",
);
pub(super) const SLOT_NEARLY_LOST: Check =
    Check::problem("slot-nearly-lost", "the next checkpoint may remove log that was not read");
pub(super) const SLOT_INACTIVE: Check =
    Check::problem("slot-inactive", "no event leaves, and the server keeps its log until the disk is full");
pub(super) const SLOT_FAR_BEHIND: Check = Check::warning(
    "slot-far-behind",
    "the server keeps that much log, which fills the disk or costs the slot at max_slot_wal_keep_size",
);
pub(super) const SLOT_WITHOUT_FAILOVER: Check = Check::warning(
    "slot-without-failover",
    "a standby that becomes the primary has no slot, and events around that time are never captured",
);
pub(super) const OUTBOX_WITHOUT_PUBLISHER: Check = Check::problem(
    "outbox-without-publisher",
    "events are written, and neither a connector nor a relay takes them",
);
pub(super) const TWO_PUBLISHERS: Check = Check::problem(
    "outbox-with-two-publishers",
    "events are published twice, or a slot keeps the log for nobody",
);
pub(super) const RELAY_NOT_OPEN: Check =
    Check::problem("relay-switch-incomplete", "relays publish nothing until the switch is complete");
pub(super) const SOURCE_SET_ASIDE: Check = Check::problem(
    "table-source-rows-set-aside",
    "rows were written without their events, and the readers of the topic do not know of them",
);
pub(super) const INSERT_DENIED: Check =
    Check::warning("outbox-insert-denied", "a program that logs in with this role cannot add events");
pub(super) const OUTBOX_MUTABLE: Check = Check::warning(
    "outbox-may-be-changed",
    "the outbox is a record of facts: a changed row is not published again, and a deleted one not at all",
);
pub(super) const OUTBOX_UPDATED: Check = Check::warning(
    "outbox-rows-updated",
    "a published event does not change with its row, so readers and outbox disagree",
);
pub(super) const MARKERS_NOT_VACUUMED: Check =
    Check::warning("markers-not-vacuumed", "each claim reads through dead rows, and consumers become slower");
pub(super) const PENDING_NOT_VACUUMED: Check = Check::warning(
    "pending-not-vacuumed",
    "each read of the relay goes through dead rows, and events wait longer",
);
pub(super) const AUTOVACUUM_OFF: Check =
    Check::problem("autovacuum-off", "dead rows stay for ever, and every statement becomes slower");
pub(super) const TRANSACTION_OLD: Check = Check::problem(
    "transaction-open-long",
    "relays, cleanup, vacuum and new slots wait for the oldest open transaction",
);
pub(super) const PREPARED_FORGOTTEN: Check = Check::problem(
    "prepared-transaction-forgotten",
    "it holds its locks and holds back relays and vacuum, also after a restart of the server",
);
pub(super) const COMMIT_NOT_SYNCHRONOUS: Check = Check::warning(
    "synchronous-commit-off",
    "a crash of the server loses the last commits of programs that do not use this library",
);
pub(super) const ENCODING: Check =
    Check::problem("encoding-not-utf8", "events hold every text, and this database cannot store it");
pub(super) const WINDOW_SHORT: Check = Check::warning(
    "outbox-outlives-dedup-window",
    "a replay of older events under their ids becomes failed messages instead of being recognised",
);

pub(super) const CLOCK: &[&Check] = &[&CLOCK_DIFFERS];
pub(super) const SETTINGS: &[&Check] = &[&ENCODING, &COMMIT_NOT_SYNCHRONOUS];
pub(super) const TRANSACTIONS: &[&Check] = &[&TRANSACTION_OLD, &PREPARED_FORGOTTEN];
pub(super) const SCHEMA: &[&Check] = &[&SCHEMA_PENDING];
pub(super) const CAPTURE: &[&Check] = &[
    &WAL_LEVEL,
    &PUBLICATION_MISSING,
    &PUBLICATION_OF_ALL_TABLES,
    &PUBLICATION_WITHOUT_OUTBOX,
    &PUBLICATION_FILTERED,
    &PUBLICATION_OF_MORE_TABLES,
    &PUBLICATION_NOT_OF_INSERTS,
    &PUBLICATION_NOT_VIA_ROOT,
    &CAPTURE_ROLE,
    &SLOT_MISSING,
    &SLOT_FOREIGN,
    &SLOT_LOST,
    &SLOT_NEARLY_LOST,
    &SLOT_INACTIVE,
    &SLOT_FAR_BEHIND,
    &SLOT_WITHOUT_FAILOVER,
];
pub(super) const PUBLISHING: &[&Check] =
    &[&OUTBOX_WITHOUT_PUBLISHER, &TWO_PUBLISHERS, &RELAY_NOT_OPEN, &RELAY_ABSENT, &EVENTS_REJECTED];
pub(super) const SOURCES: &[&Check] = &[&TABLE_SOURCE_FAULTY, &SOURCE_SET_ASIDE];
pub(super) const UNHANDLED: &[&Check] = &[&EVENT_TYPE_MISSPELT];
pub(super) const GROUPS: &[&Check] = &[&CONSUMER_IDLE, &CLAIMS_SCATTERED];
pub(super) const RIGHTS: &[&Check] = &[&INSERT_DENIED, &OUTBOX_MUTABLE, &OUTBOX_UPDATED];
pub(super) const VACUUM: &[&Check] = &[&AUTOVACUUM_OFF, &MARKERS_NOT_VACUUMED, &PENDING_NOT_VACUUMED];
pub(super) const WINDOWS: &[&Check] = &[&WINDOW_SHORT];

/// The parts that read the tables.
pub(super) const ON_TABLES: &[&[&Check]] =
    &[CAPTURE, PUBLISHING, SOURCES, UNHANDLED, GROUPS, RIGHTS, VACUUM, WINDOWS];

/// Every part, in the order in which they are made.
pub(super) const ALL: &[&[&Check]] = &[
    &[&SERVICE_UNREACHABLE],
    CLOCK,
    SETTINGS,
    TRANSACTIONS,
    SCHEMA,
    CAPTURE,
    PUBLISHING,
    SOURCES,
    UNHANDLED,
    GROUPS,
    RIGHTS,
    VACUUM,
    WINDOWS,
];
