//! Reads RabbitMQ's death history.

use messagekit::adapter::FailureKind;
use messagekit::{Message, headers};
use serde_json::Value;

use super::death::{Death, short};

/// Reads the newest death in the header `x-death`: its first entry, for both classic and quorum queues. The time of an
/// entry is not usable, because RabbitMQ keeps the time of the first death of its kind.
///
/// Returns `None` if the header is absent, or if RabbitMQ did not write it.
pub(super) fn read(message: &Message) -> Option<Death> {
    let deaths: Vec<Value> = serde_json::from_slice(message.headers.get(headers::X_DEATH)?).ok()?;
    let death = deaths.first()?;
    let queue = death.get("queue")?.as_str().filter(|queue| is_queue(queue))?;
    let reason = death.get("reason")?.as_str()?;
    let (kind, error) = match reason {
        "rejected" => (FailureKind::Rejected, format!("rejected by a consumer of queue {queue}")),
        "expired" => (FailureKind::Expired, format!("waited in queue {queue} for longer than it may")),
        "maxlen" => (FailureKind::QueueFull, format!("pushed out of queue {queue}, which was full")),
        "delivery_limit" => {
            (FailureKind::DeliveryLimit, format!("delivered from queue {queue} more often than it allows"))
        }
        other => (
            FailureKind::Unexplained,
            format!("left queue {queue} for a reason that is not known: {:?}", short(other)),
        ),
    };
    Some(Death {
        at: Some(queue.to_owned()),
        return_to: Some(queue.to_owned()),
        kind,
        error,
        times: times(death.get("count")),
    })
}

/// Returns whether a queue can have this name and accept messages; the pseudo queues of direct replies cannot.
pub(super) fn is_queue(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains(char::is_control) && !name.starts_with("amq.rabbitmq.")
}

/// A count below one, or of a million and more, is forged and counts as one.
fn times(count: Option<&Value>) -> u32 {
    let count = count.and_then(Value::as_u64).filter(|count| (1..1_000_000).contains(count));
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::DeathHeaders;
    use super::*;

    fn found(x_death: &Value) -> messagekit::adapter::BrokerDeadLetter {
        let message = Message::new("dead", "{}").with_header("id", "m-1");
        DeathHeaders::of_queue(message.with_header(headers::X_DEATH, x_death.to_string())).found
    }

    #[test]
    fn every_rabbitmq_death_reason_has_its_kind_and_source_queue() {
        for (reason, kind, error) in [
            ("rejected", FailureKind::Rejected, "rejected by a consumer of queue billing"),
            ("expired", FailureKind::Expired, "waited in queue billing for longer than it may"),
            ("maxlen", FailureKind::QueueFull, "pushed out of queue billing, which was full"),
            (
                "delivery_limit",
                FailureKind::DeliveryLimit,
                "delivered from queue billing more often than it allows",
            ),
            (
                "moved",
                FailureKind::Unexplained,
                "left queue billing for a reason that is not known: \"moved\"",
            ),
        ] {
            let found = found(&json!([{"queue": "billing", "reason": reason, "count": 1}]));
            assert_eq!((found.failure.kind, &*found.failure.error), (kind, error));
            assert_eq!((&*found.scope, found.return_to.as_deref()), ("queue:billing", Some("billing")));
            assert_eq!((found.received.id.as_str(), found.failure.attempts), ("m-1", 1));
        }
    }

    #[test]
    fn the_first_x_death_entry_is_the_newest_whatever_its_time() {
        let found = found(&json!([
            {"queue": "billing", "reason": "rejected", "count": 2, "time": 1},
            {"queue": "billing.wait", "reason": "expired", "count": 1, "time": 9},
        ]));
        assert_eq!(found.failure.error, "rejected by a consumer of queue billing (2 times)");
        assert_eq!((&*found.scope, found.failure.attempts), ("queue:billing", 2));
    }

    #[test]
    fn unreadable_dead_letter_has_its_kind_and_an_untrusted_id() {
        let message = Message::new("dead", "{}").with_header("id", "m-1");
        let death = json!([{"queue": "billing", "reason": "expired", "count": 1}]).to_string();
        let message = message.with_header(headers::X_DEATH, death);
        let dead =
            DeathHeaders::of_queue(message.with_header(headers::UNREADABLE, "property app_id is not UTF-8"));
        let (found, error) = (&dead.found, &dead.found.failure.error);
        assert_eq!(
            (found.failure.kind, found.return_to.as_deref()),
            (FailureKind::Unreadable, Some("billing"))
        );
        assert!(
            error.contains("for longer than it may") && error.ends_with("app_id is not UTF-8"),
            "{error}"
        );
        assert!(found.received.id.is_position() && dead.event_id.is_none());
    }

    #[test]
    fn a_forged_account_names_no_queue() {
        for forged in [
            json!([]),
            json!("rejected"),
            json!({"queue": "billing", "reason": "rejected"}),
            json!(["billing"]),
            json!([{"reason": "rejected"}]),
            json!([{"queue": 7, "reason": "rejected"}]),
            json!([{"queue": ["billing"], "reason": "rejected"}]),
            json!([{"queue": "", "reason": "rejected"}]),
            json!([{"queue": "a\u{0}b", "reason": "rejected"}]),
            json!([{"queue": "q".repeat(256), "reason": "rejected"}]),
            json!([{"queue": "q".repeat(1_000_000), "reason": "rejected"}]),
            json!([{"queue": "amq.rabbitmq.reply-to.g1", "reason": "rejected"}]),
            json!([{"queue": "billing", "reason": {"a": 1}}]),
            json!([{"queue": 7, "reason": "rejected"}, {"queue": "billing", "reason": "rejected"}]),
        ] {
            let found = found(&forged);
            assert_eq!((found.failure.kind, found.return_to.as_deref()), (FailureKind::Unexplained, None));
            assert_eq!(found.scope, "queue:dead", "kept where it was found");
            assert!(found.failure.error.contains("cannot be read"), "{}", found.failure.error);
        }
    }

    #[test]
    fn a_forged_count_is_one() {
        for count in [json!(-3), json!(0), json!(u64::MAX), json!(1e300), json!("7"), json!(null), json!([2])]
        {
            let found = found(&json!([{"queue": "billing", "reason": "rejected", "count": count}]));
            assert_eq!(found.failure.attempts, 1, "{count}");
            assert_eq!(found.failure.error, "rejected by a consumer of queue billing");
        }
    }

    #[test]
    fn thousands_of_entries_say_no_more_than_the_first() {
        let entry = json!({"queue": "billing", "reason": "rejected", "count": 1});
        let found = found(&Value::Array(vec![entry; 20_000]));
        assert_eq!(found.failure.error, "rejected by a consumer of queue billing");
    }

    #[test]
    fn without_an_account_the_failed_message_says_so() {
        let found = DeathHeaders::of_queue(Message::new("dead", "{}")).found;
        assert_eq!((found.failure.kind, found.return_to), (FailureKind::Unexplained, None));
        assert_eq!(found.failure.error, "kept in \"dead\" without a reason: where it died is not known");
        assert!(found.received.id.is_position(), "{}", found.received.id);
    }
}
