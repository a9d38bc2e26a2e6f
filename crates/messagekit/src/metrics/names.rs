//! Every name, in one place: dashboards and alerts are compared with it.

/// Events that have not provably left the outbox. Labels: `database`.
pub const OUTBOX_PENDING: &str = "messagekit_outbox_pending";
/// Pending events older than ten seconds. Labels: `database`.
pub const OUTBOX_OVERDUE: &str = "messagekit_outbox_overdue";
/// Age of the oldest pending event in seconds, 0 without one. Labels: `database`.
pub const OUTBOX_OLDEST_SECONDS: &str = "messagekit_outbox_oldest_seconds";
/// Failed messages that are kept. Labels: `database`, `consumer`, `state`.
pub const FAILED_MESSAGES: &str = "messagekit_failed_messages";
/// 1 when the database answered the last question, 0 when it did not. Labels: `database`.
pub const DATABASE_UP: &str = "messagekit_database_up";

/// Messages by what became of them: `handled`, `duplicate`, `ignored`, `set_aside`, `dead`, `parked` behind their key. Labels:
/// `consumer`, `outcome`.
pub const CONSUMER_HANDLED: &str = "messagekit_consumer_handled_total";
/// Transactions by their end: `committed`, `rolled_back`. Labels: `consumer`, `outcome`.
pub const CONSUMER_BATCHES: &str = "messagekit_consumer_batches_total";
/// Lanes that wait for a message that cannot be applied, or for room to park one. Labels: `consumer`.
pub const CONSUMER_BLOCKED_LANES: &str = "messagekit_consumer_blocked_lanes";
/// 1 while something may come back that is older than the consumer's window, else 0. Labels: `consumer`.
pub const CONSUMER_WINDOW_SHORT: &str = "messagekit_consumer_window_short";
/// Time inside handlers, one run each. Labels: `consumer`.
pub const CONSUMER_HANDLE_SECONDS: &str = "messagekit_consumer_handle_seconds";

/// 0 while a gate lets through, 1 while it lets one message through to probe, 2 while it holds back. Labels: `consumer`, `gate`.
pub const GATE_STATE: &str = "messagekit_gate_state";
/// Time that a gate held back, counted when it lets through again. Labels: `consumer`, `gate`.
pub const GATE_WAIT_SECONDS: &str = "messagekit_gate_wait_seconds_total";

/// Messages that RabbitMQ confirmed. Labels: `bridge`, `exchange`.
pub const BRIDGE_FORWARDED: &str = "messagekit_bridge_forwarded_total";
/// Messages that RabbitMQ returned because no queue wanted them. Labels: `bridge`, `exchange`.
pub const BRIDGE_RETURNED: &str = "messagekit_bridge_returned_total";
/// Messages that went to the dead-letter topic. Labels: `bridge`, `reason`.
pub const BRIDGE_DEAD_LETTERED: &str = "messagekit_bridge_dead_lettered_total";
/// Messages that the duplicate filter passed over. Labels: `bridge`.
pub const BRIDGE_DUPLICATES: &str = "messagekit_bridge_duplicates_total";
/// Publishes that had to be repeated: refused, unanswered, or cut off. Labels: `bridge`.
pub const BRIDGE_REPEATED: &str = "messagekit_bridge_repeated_total";
/// Messages that are sent and not yet confirmed. Labels: `bridge`.
pub const BRIDGE_UNCONFIRMED: &str = "messagekit_bridge_unconfirmed";
/// 1 while RabbitMQ blocks the connection, else 0. Labels: `bridge`.
pub const BRIDGE_BLOCKED: &str = "messagekit_bridge_blocked";
/// Time from sending to the confirmation. Labels: `bridge`.
pub const BRIDGE_CONFIRM_SECONDS: &str = "messagekit_bridge_confirm_seconds";

/// Events that the broker confirmed. Labels: `relay`.
pub const RELAY_PUBLISHED: &str = "messagekit_relay_published_total";
/// Events that the broker refused for good, and that were set aside. Labels: `relay`.
pub const RELAY_REJECTED: &str = "messagekit_relay_rejected_total";
/// Publishes that had to be repeated: refused for now, unanswered, or cut off. Labels: `relay`.
pub const RELAY_REPEATED: &str = "messagekit_relay_repeated_total";
/// Events that are sent and not yet answered. Labels: `relay`.
pub const RELAY_UNCONFIRMED: &str = "messagekit_relay_unconfirmed";
/// Shards of the outbox, of 64, that are this relay's. Labels: `relay`.
pub const RELAY_SHARDS: &str = "messagekit_relay_shards";
/// Topics that the broker does not take at the moment. Labels: `relay`.
pub const RELAY_PAUSED_TOPICS: &str = "messagekit_relay_paused_topics";
/// Time from sending a batch to its answers. Labels: `relay`.
pub const RELAY_PUBLISH_SECONDS: &str = "messagekit_relay_publish_seconds";

/// Messages that the bookkeeper wrote down. Labels: `source`, `kind`.
pub const BOOKKEEPER_KEPT: &str = "messagekit_bookkeeper_kept_total";
/// Time of requests to the admin. Labels: `method`, `route`, `status`.
pub const ADMIN_REQUEST_SECONDS: &str = "messagekit_admin_request_seconds";

/// Every name.
pub const ALL: [&str; 29] = [
    OUTBOX_PENDING,
    OUTBOX_OVERDUE,
    OUTBOX_OLDEST_SECONDS,
    FAILED_MESSAGES,
    DATABASE_UP,
    CONSUMER_HANDLED,
    CONSUMER_BATCHES,
    CONSUMER_BLOCKED_LANES,
    CONSUMER_WINDOW_SHORT,
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
    BOOKKEEPER_KEPT,
    ADMIN_REQUEST_SECONDS,
];
