//! Headers of a bridge, or of a consumer without a database, on a dead letter.

use messagekit::adapter::{FailureKind, check_topic};
use messagekit::{Message, Position, headers};

use super::death::{Death, short};

/// Reads the headers of messagekit programs; `None` if there are none. A redelivery target must satisfy `is_name`.
pub(super) fn read(message: &Message, is_name: impl Fn(&str) -> bool) -> Option<Death> {
    let known = &message.headers;
    let word = known.get(headers::DEAD_KIND).map(|word| String::from_utf8_lossy(word));
    let error = known.get(headers::DEAD_ERROR).map(|error| String::from_utf8_lossy(error));
    if word.is_none() && error.is_none() {
        return None;
    }
    let kind = word.as_deref().and_then(FailureKind::from_word).unwrap_or(FailureKind::Unexplained);
    let by = known.text(headers::DEAD_BY).filter(|by| (1..=200).contains(&by.len()));
    let by = by.filter(|by| !by.contains(char::is_control)).map(str::to_owned);
    let mut error = match error {
        Some(error) => error.into_owned(),
        None => "set aside without an error".to_owned(),
    };
    if kind == FailureKind::Unexplained
        && let Some(word) = word
    {
        error = format!("{error} (kind {:?})", short(&word));
    }
    let return_to = known.text(headers::RETRY_TOPIC).filter(|name| is_name(name)).map(str::to_owned);
    Some(Death { at: by, return_to, kind, error, times: 1 })
}

/// Returns the original position of the message.
pub(super) fn original(message: &Message) -> Option<Position> {
    position(message, headers::SOURCE_TOPIC, headers::SOURCE_PARTITION, headers::SOURCE_OFFSET)
}

/// Reads a position from three headers; an impossible position counts as absent.
pub(super) fn position(message: &Message, topic: &str, partition: &str, offset: &str) -> Option<Position> {
    let text = |name| message.headers.text(name);
    let topic = text(topic).filter(|topic| check_topic(topic).is_ok())?;
    let partition = text(partition)?.parse().ok().filter(|partition: &i32| *partition >= 0)?;
    let offset = text(offset)?.parse().ok().filter(|offset: &i64| *offset >= 0)?;
    Some(Position { topic: topic.into(), partition, offset })
}

#[cfg(test)]
mod tests {
    use super::super::DeathHeaders;
    use super::*;

    fn dead(headers: &[(&str, &str)]) -> Message {
        headers.iter().fold(Message::new("bridge.dead", "{}"), |message, (name, value)| {
            message.with_header(name, (*value).to_owned())
        })
    }

    #[test]
    fn what_the_program_wrote_is_what_the_failed_message_says() {
        let message = dead(&[
            ("id", "m-1"),
            (headers::DEAD_KIND, "unroutable"),
            (headers::DEAD_ERROR, "no queue wanted it"),
            (headers::DEAD_BY, "bridge"),
            (headers::RETRY_TOPIC, "bridge.retry"),
        ]);
        let DeathHeaders { found, event_id } = DeathHeaders::of_topic(message, None);
        assert_eq!(
            (found.origin, &*found.scope),
            (messagekit::operations::Origin::Topic, "topic:bridge.dead/bridge")
        );
        assert_eq!(
            (found.failure.kind, &*found.failure.error),
            (FailureKind::Unroutable, "no queue wanted it")
        );
        assert_eq!(found.return_to.as_deref(), Some("bridge.retry"));
        assert_eq!(event_id.as_ref().map(|id| id.as_str()), Some("m-1"));
    }

    #[test]
    fn queue_of_a_storeless_consumer_is_its_redelivery_target() {
        let message = dead(&[
            ("id", "m-1"),
            (headers::DEAD_KIND, "permanent"),
            (headers::DEAD_BY, "mailer"),
            (headers::RETRY_TOPIC, "mailer.orders"),
        ]);
        let found = DeathHeaders::of_queue(message).found;
        assert_eq!(
            (&*found.scope, found.return_to.as_deref()),
            ("queue:mailer.orders", Some("mailer.orders"))
        );
        let found = DeathHeaders::of_queue(dead(&[(headers::DEAD_KIND, "permanent")])).found;
        assert_eq!((&*found.scope, found.return_to), ("queue:bridge.dead", None));
    }

    #[test]
    fn an_unknown_kind_stays_readable() {
        let found = DeathHeaders::of_topic(dead(&[(headers::DEAD_KIND, "haunted")]), None).found;
        assert_eq!(found.failure.kind, FailureKind::Unexplained);
        assert_eq!(found.failure.error, "set aside without an error (kind \"haunted\")");
        assert_eq!((&*found.scope, found.return_to), ("topic:bridge.dead", None));
    }

    #[test]
    fn a_way_back_that_no_topic_can_have_is_none() {
        for name in ["", "..", "a b", "a/b", &"t".repeat(250)] {
            let message = dead(&[(headers::DEAD_KIND, "failed"), (headers::RETRY_TOPIC, name)]);
            assert_eq!(DeathHeaders::of_topic(message, None).found.return_to, None, "{name:?}");
        }
    }

    #[test]
    fn a_message_without_an_id_is_named_after_where_it_stood_first() {
        let at = |headers: &[(&str, &str)]| {
            let here = Position { topic: "bridge.dead".into(), partition: 0, offset: 9 };
            DeathHeaders::of_topic(dead(headers), Some(here)).found.received.id.to_string()
        };
        let position = [
            (headers::SOURCE_TOPIC, "orders.order"),
            (headers::SOURCE_PARTITION, "3"),
            (headers::SOURCE_OFFSET, "17"),
        ];
        assert_eq!(at(&position), "at:orders.order/3/17");
        assert_eq!(at(&position[..2]), "at:bridge.dead/0/9");
        let forged = [position[0], position[1], (headers::SOURCE_OFFSET, "-1")];
        assert_eq!(at(&forged), "at:bridge.dead/0/9");
    }
}
