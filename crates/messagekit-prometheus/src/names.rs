//! Names of all metrics; tests compare dashboards and alerts with them.

/// Events not proven to be published, at most 10,000. Labels: `database`.
pub const OUTBOX_PENDING: &str = "messagekit_outbox_pending";
/// Pending events older than ten seconds. Labels: `database`.
pub const OUTBOX_OVERDUE: &str = "messagekit_outbox_overdue";
/// Age of the oldest pending event in seconds, 0 without one. Labels: `database`.
pub const OUTBOX_OLDEST_SECONDS: &str = "messagekit_outbox_oldest_seconds";
/// Bytes of the database's log that the replication slot has not confirmed. Absent without a slot. Labels: `database`.
pub const OUTBOX_SLOT_BYTES: &str = "messagekit_outbox_slot_bytes";
/// Failed messages in the database. Labels: `database`, `consumer`, `state`.
pub const FAILED_MESSAGES: &str = "messagekit_failed_messages";
/// Age of the oldest open failed message, 0 without one. Labels: `database`, `consumer`.
pub const FAILED_MESSAGE_OLDEST_SECONDS: &str = "messagekit_failed_message_oldest_seconds";
/// Failed messages whose retry is due and has not run; 10000 means at least as many. Labels: `database`, `consumer`.
pub const RETRIES_DUE: &str = "messagekit_retries_due";
/// Keys that a failed message blocks; 10000 means at least as many. Labels: `database`, `consumer`.
pub const BLOCKED_KEYS: &str = "messagekit_blocked_keys";
/// Records of a topic in the database behind the offset that a consumer has reached, without those that its claims have settled, in all partitions
/// that its status shows; no series for a broker's topic, whose end the database does not know. Groups over HTTP and SQL, claims and pipelines
/// have it like consumers do. Labels: `database`, `consumer`, `topic`.
pub const RECORDS_BEHIND: &str = "messagekit_records_behind";
/// The sum of the offsets that a consumer has reached in the partitions of a topic that have [`RECORDS_BEHIND`]: its rate is the pace of the
/// consumer, and retention does not move it. Labels: `database`, `consumer`, `topic`.
pub const RECORDS_REACHED: &str = "messagekit_records_reached";
/// Messages that a consumer has passed over because it had no handler for their type, at most 20 types, without those whose last message is
/// older than 30 days. `similar` lists the handled types of which the type may be a misspelling. Labels: `database`, `consumer`, `topic`, `event_type`, `similar`.
pub const UNHANDLED_MESSAGES: &str = "messagekit_unhandled_messages";
/// 1 while a table source makes no events, or other ones than its rules say: its table or a trigger is gone, or its key or function
/// is another one; 0 otherwise. Labels: `database`, `topic`, `table`.
pub const TABLE_SOURCE_FAULTY: &str = "messagekit_table_source_faulty";
/// 1 if the database responded to the last query, 0 otherwise. Labels: `database`.
pub const DATABASE_UP: &str = "messagekit_database_up";

/// Messages by outcome: `handled`, `duplicate`, `ignored`, `set_aside`, `dead`, `parked` behind their key. Labels:
/// `consumer`, `outcome`.
pub const CONSUMER_HANDLED: &str = "messagekit_consumer_handled_total";
/// Messages that were set aside or became dead, and retries that failed, by the kind of the failure, such as `too_slow`. Labels:
/// `consumer`, `kind`.
pub const CONSUMER_FAILURES: &str = "messagekit_consumer_failures_total";
/// Transactions by outcome: `committed`, `rolled_back`. Labels: `consumer`, `outcome`.
pub const CONSUMER_BATCHES: &str = "messagekit_consumer_batches_total";
/// Lanes that wait for a message that cannot be applied, or for free parking capacity. Labels: `consumer`.
pub const CONSUMER_BLOCKED_LANES: &str = "messagekit_consumer_blocked_lanes";
/// 1 while a message older than the consumer's dedup window may be redelivered, 0 otherwise. Labels: `consumer`.
pub const CONSUMER_WINDOW_SHORT: &str = "messagekit_consumer_window_short";
/// Messages of a partition or queue that are not settled, of the partitions that this process owns. Labels: `consumer`,
/// `topic`, `partition` (empty for a queue).
pub const CONSUMER_LAG: &str = "messagekit_consumer_lag";
/// Age of the oldest of them in seconds, 0 without one. Labels: `consumer`, `topic`, `partition`.
pub const CONSUMER_LAG_SECONDS: &str = "messagekit_consumer_lag_seconds";
/// Handler runs that have not ended. Labels: `consumer`.
pub const CONSUMER_HANDLERS_IN_FLIGHT: &str = "messagekit_consumer_handlers_in_flight";
/// Partitions and queues that were assigned: it grows with each rebalance. Labels: `consumer`.
pub const CONSUMER_ASSIGNMENTS: &str = "messagekit_consumer_assignments_total";
/// Payload bytes of handled messages. Labels: `consumer`.
pub const CONSUMER_MESSAGE_BYTES: &str = "messagekit_consumer_message_bytes";
/// Duration of each handler run. Labels: `consumer`.
pub const CONSUMER_HANDLE_SECONDS: &str = "messagekit_consumer_handle_seconds";

/// 0 while a gate lets messages pass, 1 while it probes with one message, 2 while it holds messages back. Labels:
/// `consumer`, `gate`.
pub const GATE_STATE: &str = "messagekit_gate_state";
/// Time that a gate held messages back, counted when it lets them pass again. Labels: `consumer`, `gate`.
pub const GATE_WAIT_SECONDS: &str = "messagekit_gate_wait_seconds_total";

/// Messages that RabbitMQ confirmed. Labels: `bridge`, `exchange`.
pub const BRIDGE_FORWARDED: &str = "messagekit_bridge_forwarded_total";
/// Messages that RabbitMQ returned because no queue is bound. Labels: `bridge`, `exchange`.
pub const BRIDGE_RETURNED: &str = "messagekit_bridge_returned_total";
/// Messages sent to the dead-letter topic. Labels: `bridge`, `reason`.
pub const BRIDGE_DEAD_LETTERED: &str = "messagekit_bridge_dead_lettered_total";
/// Messages that the duplicate filter skipped. Labels: `bridge`.
pub const BRIDGE_DUPLICATES: &str = "messagekit_bridge_duplicates_total";
/// Repeated publishes: refused, unconfirmed, or disconnected. Labels: `bridge`.
pub const BRIDGE_REPEATED: &str = "messagekit_bridge_repeated_total";
/// Messages in flight. Labels: `bridge`.
pub const BRIDGE_UNCONFIRMED: &str = "messagekit_bridge_unconfirmed";
/// 1 while RabbitMQ blocks the connection, 0 otherwise. Labels: `bridge`.
pub const BRIDGE_BLOCKED: &str = "messagekit_bridge_blocked";
/// Time from sending to the confirmation. Labels: `bridge`.
pub const BRIDGE_CONFIRM_SECONDS: &str = "messagekit_bridge_confirm_seconds";

/// Events that the broker confirmed. Labels: `relay`.
pub const RELAY_PUBLISHED: &str = "messagekit_relay_published_total";
/// Events that the broker rejected permanently and the relay set aside. Labels: `relay`.
pub const RELAY_REJECTED: &str = "messagekit_relay_rejected_total";
/// Repeated publishes: refused temporarily, unconfirmed, or disconnected. Labels: `relay`.
pub const RELAY_REPEATED: &str = "messagekit_relay_repeated_total";
/// Events in flight. Labels: `relay`.
pub const RELAY_UNCONFIRMED: &str = "messagekit_relay_unconfirmed";
/// Outbox shards that this relay holds, of 64. Labels: `relay`.
pub const RELAY_SHARDS: &str = "messagekit_relay_shards";
/// Topics that the broker does not accept at the moment. Labels: `relay`.
pub const RELAY_PAUSED_TOPICS: &str = "messagekit_relay_paused_topics";
/// Time from sending a batch to its confirmations. Labels: `relay`.
pub const RELAY_PUBLISH_SECONDS: &str = "messagekit_relay_publish_seconds";

/// Records that an ordered reader has released. Labels: `reader`.
pub const ORDERED_READER_RELEASED: &str = "messagekit_ordered_reader_released_total";
/// Records whose own time lies before what their partition, or the reader behind an idle one, has shown already. Labels: `reader`.
pub const ORDERED_READER_LATE: &str = "messagekit_ordered_reader_late_total";
/// Records whose own time lies so far ahead of the clock that it was cut. Labels: `reader`.
pub const ORDERED_READER_AHEAD: &str = "messagekit_ordered_reader_ahead_total";
/// Offsets that were deleted before they were read. Labels: `reader`.
pub const ORDERED_READER_DELETED: &str = "messagekit_ordered_reader_deleted_total";
/// Records that were read and are not released. Absent while no reader is open, as are the next four. Labels: `reader`.
pub const ORDERED_READER_HELD: &str = "messagekit_ordered_reader_held";
/// Bytes of the records that were read and are not released. Labels: `reader`.
pub const ORDERED_READER_HELD_BYTES: &str = "messagekit_ordered_reader_held_bytes";
/// Partitions that are not read for now: they are far ahead of the others, or have brought their past. Labels: `reader`.
pub const ORDERED_READER_PAUSED_PARTITIONS: &str = "messagekit_ordered_reader_paused_partitions";
/// 1 when all of the past is released and records come as they arrive, 0 before. Labels: `reader`.
pub const ORDERED_READER_LIVE: &str = "messagekit_ordered_reader_live";
/// Offsets up to the end of the past of a topic that are not released. Labels: `reader`, `topic`.
pub const ORDERED_READER_LAG: &str = "messagekit_ordered_reader_lag";

/// Messages that the bookkeeper recorded. Labels: `source`, `kind`.
pub const BOOKKEEPER_KEPT: &str = "messagekit_bookkeeper_kept_total";
/// Duration of requests to the admin. Labels: `method`, `route`, `status`.
pub const ADMIN_REQUEST_SECONDS: &str = "messagekit_admin_request_seconds";

/// Finished spans of traces by outcome: `exported`, `failed` (the receiver did not accept them), `dropped` (the queue was
/// full). Absent without telemetry. Labels: `outcome`.
pub const TELEMETRY_SPANS: &str = "messagekit_telemetry_spans_total";

/// Every name.
pub const ALL: [&str; 53] = [
    OUTBOX_PENDING,
    OUTBOX_OVERDUE,
    OUTBOX_OLDEST_SECONDS,
    OUTBOX_SLOT_BYTES,
    FAILED_MESSAGES,
    FAILED_MESSAGE_OLDEST_SECONDS,
    RETRIES_DUE,
    BLOCKED_KEYS,
    RECORDS_BEHIND,
    RECORDS_REACHED,
    UNHANDLED_MESSAGES,
    TABLE_SOURCE_FAULTY,
    DATABASE_UP,
    CONSUMER_HANDLED,
    CONSUMER_FAILURES,
    CONSUMER_BATCHES,
    CONSUMER_BLOCKED_LANES,
    CONSUMER_WINDOW_SHORT,
    CONSUMER_LAG,
    CONSUMER_LAG_SECONDS,
    CONSUMER_HANDLERS_IN_FLIGHT,
    CONSUMER_ASSIGNMENTS,
    CONSUMER_MESSAGE_BYTES,
    CONSUMER_HANDLE_SECONDS,
    GATE_STATE,
    GATE_WAIT_SECONDS,
    BRIDGE_FORWARDED,
    BRIDGE_RETURNED,
    BRIDGE_DEAD_LETTERED,
    BRIDGE_DUPLICATES,
    BRIDGE_REPEATED,
    BRIDGE_UNCONFIRMED,
    BRIDGE_BLOCKED,
    BRIDGE_CONFIRM_SECONDS,
    RELAY_PUBLISHED,
    RELAY_REJECTED,
    RELAY_REPEATED,
    RELAY_UNCONFIRMED,
    RELAY_SHARDS,
    RELAY_PAUSED_TOPICS,
    RELAY_PUBLISH_SECONDS,
    ORDERED_READER_RELEASED,
    ORDERED_READER_LATE,
    ORDERED_READER_AHEAD,
    ORDERED_READER_DELETED,
    ORDERED_READER_HELD,
    ORDERED_READER_HELD_BYTES,
    ORDERED_READER_PAUSED_PARTITIONS,
    ORDERED_READER_LIVE,
    ORDERED_READER_LAG,
    BOOKKEEPER_KEPT,
    ADMIN_REQUEST_SECONDS,
    TELEMETRY_SPANS,
];
