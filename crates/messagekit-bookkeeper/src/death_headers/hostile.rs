//! Tests with invalid headers.

use proptest::prelude::*;
use serde_json::{Value, json};

use messagekit::adapter::FailureKind;

use super::*;

/// Generates JSON of any shape, with more of the relevant names than chance gives.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("rejected"), Just("billing"), Just("maxlen")].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let name = prop_oneof![Just("queue"), Just("reason"), Just("count"), Just("time"), Just("x")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let name = prop_oneof![
        prop::sample::select(vec![
            headers::ID,
            headers::X_DEATH,
            headers::RETURNS,
            headers::DEAD_KIND,
            headers::DEAD_ERROR,
            headers::DEAD_BY,
            headers::RETRY_TOPIC,
            headers::SOURCE_TOPIC,
            headers::SOURCE_PARTITION,
            headers::SOURCE_OFFSET,
            "__connect.errors.topic",
            "__connect.errors.connector.name",
            "__connect.errors.exception.message",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        any_json().prop_map(|json| json!([json]).to_string().into_bytes()),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        Just(vec![b'x'; 5_000]),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    (prop::collection::vec((name, value), 0..10), payload).prop_map(|(pairs, payload)| {
        pairs
            .into_iter()
            .fold(Message::new("dead", payload), |message, (name, value)| message.with_header(&name, value))
    })
}

proptest! {
    #[test]
    fn any_headers_keep_the_message_whole_and_its_return_name_valid(
        message in any_message(),
        at in prop::option::of((0..9i32, 0..9i64)),
    ) {
        let position = at.map(|(partition, offset)| Position { topic: "dead".into(), partition, offset });
        let failed_messages = [DeathHeaders::of_queue(message.clone()), DeathHeaders::of_topic(message.clone(), position.clone())];
        for DeathHeaders { found, event_id } in failed_messages {
            prop_assert_eq!(&found.received.message, &message);
            prop_assert!(!found.received.id.as_str().is_empty());
            prop_assert!(found.received.id.as_str().len() <= 300);
            prop_assert!(found.scope.len() <= 600 && !found.scope.contains(char::is_control));
            prop_assert!(found.failure.error.chars().count() <= 4_000);
            prop_assert!((1..1_000_000).contains(&found.failure.attempts));
            match (found.origin, &found.return_to) {
                (Origin::Queue, Some(queue)) => prop_assert!(is_queue(queue)),
                (Origin::Topic, Some(topic)) => prop_assert!(check_topic(topic).is_ok()),
                (_, to) => prop_assert_eq!(to, &None),
            }
            prop_assert!(event_id.is_none_or(|id| !id.is_position()));
        }
    }

    #[test]
    fn any_bytes_may_stand_where_the_account_stands(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = Message::new("dead", "{}").with_header(headers::X_DEATH, bytes);
        prop_assert!(!DeathHeaders::of_queue(message).found.failure.error.is_empty());
    }
}

#[test]
fn an_account_as_deep_as_it_gets_ends_nothing() {
    let deep = "[".repeat(500_000);
    let found = DeathHeaders::of_queue(Message::new("dead", "{}").with_header(headers::X_DEATH, deep)).found;
    assert_eq!(found.failure.kind, FailureKind::Unexplained);
}

#[test]
fn forged_redelivery_counts_are_zero() {
    for (forged, counted) in
        [("3", 3), ("999999", 999_999), ("1000000", 0), ("-1", 0), ("", 0), ("1e3", 0), ("99999999999999", 0)]
    {
        assert_eq!(
            returns(&Message::new("dead", "").with_header(headers::RETURNS, forged)),
            counted,
            "{forged}"
        );
    }
}
