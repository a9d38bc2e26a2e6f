//! The listed part of a failed message: everything but headers and payload.

/// The columns that a head holds, of failed messages with the alias `d`. SQLite knows the length of a payload without
/// reading it.
pub(crate) const HEAD: &str = "d.id, d.message_id, d.topic, d.position_topic, d.partition, d.offset, d.key, d.event_type, \
    d.origin, d.return_to, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at, \
    d.changed_at, d.parked, length(d.payload) AS payload_bytes, \
    CASE WHEN d.parked = 1 AND d.state NOT IN ('blocked', 'resolved', 'discarded') THEN \
      (SELECT count(*) - 1 FROM messagekit_failed_messages o INDEXED BY messagekit_failed_messages_key \
       WHERE o.consumer_id = d.consumer_id AND o.topic = d.topic AND o.key = d.key \
         AND o.parked = 1 AND o.state NOT IN ('resolved', 'discarded')) ELSE 0 END AS holds_back, \
    (SELECT name FROM messagekit_consumers WHERE id = d.consumer_id) AS consumer";
