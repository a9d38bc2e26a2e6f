//! Headers of a sink connector of Kafka Connect on a dead letter.

use messagekit::adapter::FailureKind;
use messagekit::{Message, Position};

use super::dead_letter_topic::position;
use super::death::{Death, short};

const TOPIC: &str = "__connect.errors.topic";
const PARTITION: &str = "__connect.errors.partition";
const OFFSET: &str = "__connect.errors.offset";
const CONNECTOR: &str = "__connect.errors.connector.name";
const TASK: &str = "__connect.errors.task.id";
const STAGE: &str = "__connect.errors.stage";
const EXCEPTION: &str = "__connect.errors.exception.class.name";
const EXCEPTION_TEXT: &str = "__connect.errors.exception.message";

/// Reads the headers of Kafka Connect; `None` if there are none. There is no redelivery target: Connect has no topic
/// for repaired records, and a copy in the original topic would reach its other consumers.
pub(super) fn read(message: &Message) -> Option<Death> {
    let text = |name| message.headers.get(name).map(|value| String::from_utf8_lossy(value));
    if [TOPIC, CONNECTOR, EXCEPTION].iter().all(|name| message.headers.get(name).is_none()) {
        return None;
    }
    let or_unknown = |name| text(name).map_or_else(|| "?".to_owned(), |text| short(&text).to_owned());
    let connector = or_unknown(CONNECTOR);
    let mut error =
        format!("connector {connector} task {} failed at {}", or_unknown(TASK), or_unknown(STAGE));
    if let Some(exception) = text(EXCEPTION) {
        error = format!("{error}: {}", short(&exception));
    }
    if let Some(text) = text(EXCEPTION_TEXT) {
        error = format!("{error}: {}", text.chars().take(2_000).collect::<String>());
    }
    let known = message.headers.text(CONNECTOR).filter(|name| (1..=200).contains(&name.len()));
    Some(Death {
        at: known.filter(|name| !name.contains(char::is_control)).map(str::to_owned),
        return_to: None,
        kind: FailureKind::Connector,
        error: format!(
            "{error} (there is no way back into a connector: repair its topic or its table by hand)"
        ),
        times: 1,
    })
}

/// Returns the original position of the record.
pub(super) fn original(message: &Message) -> Option<Position> {
    position(message, TOPIC, PARTITION, OFFSET)
}

#[cfg(test)]
mod tests {
    use super::super::DeathHeaders;
    use super::*;

    fn sink_failed_message() -> Message {
        [
            (TOPIC, "orders.order"),
            (PARTITION, "2"),
            (OFFSET, "40"),
            (CONNECTOR, "warehouse"),
            (TASK, "0"),
            (STAGE, "VALUE_CONVERTER"),
            ("__connect.errors.class.name", "org.apache.kafka.connect.json.JsonConverter"),
            (EXCEPTION, "org.apache.kafka.connect.errors.DataException"),
            (EXCEPTION_TEXT, "Converting byte[] to Kafka Connect data failed"),
            ("__connect.errors.exception.stacktrace", "at a\nat b"),
        ]
        .into_iter()
        .fold(Message::new("connect.dead", "not json"), |message, (name, value)| {
            message.with_header(name, value.to_owned())
        })
    }

    #[test]
    fn a_sink_dead_letter_names_its_connector_and_has_no_return() {
        let found = DeathHeaders::of_topic(sink_failed_message(), None).found;
        assert_eq!((found.failure.kind, &found.return_to), (FailureKind::Connector, &None));
        assert_eq!(found.scope, "topic:connect.dead/warehouse");
        assert_eq!(
            found.failure.error,
            "connector warehouse task 0 failed at VALUE_CONVERTER: org.apache.kafka.connect.errors.DataException: \
             Converting byte[] to Kafka Connect data failed (there is no way back into a connector: repair its topic or its \
             table by hand)"
        );
        assert_eq!(found.received.id.as_str(), "at:orders.order/2/40");
    }

    #[test]
    fn values_that_are_no_text_are_read_as_far_as_they_go() {
        let message = sink_failed_message()
            .with_header(CONNECTOR, &b"ware\xff"[..])
            .with_header(EXCEPTION_TEXT, vec![0xfe; 100_000])
            .with_header(PARTITION, "many");
        let found = DeathHeaders::of_topic(message, None).found;
        assert!(found.failure.error.starts_with("connector ware\u{fffd} task 0"), "{}", found.failure.error);
        assert!(found.failure.error.ends_with("by hand)"), "the end is what a person needs");
        assert_eq!(found.scope, "topic:connect.dead");
        assert!(found.received.id.is_position());
    }
}
