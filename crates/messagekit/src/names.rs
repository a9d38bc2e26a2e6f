//! The rules for names: event types, topics, consumers.

use std::borrow::Cow;

use crate::{Error, ErrorKind};

/// Checks the form of an event type: two or more segments of `a-z 0-9 -` joined by dots, at most 200 bytes, each segment
/// beginning and ending with a letter or digit.
///
/// # Errors
/// Returns [`ErrorKind::InvalidEvent`] with the type and the violated rule. A retry does not help.
pub fn check_type(event_type: &str) -> Result<(), Error> {
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    };
    if event_type.len() <= 200 && event_type.contains('.') && event_type.split('.').all(segment) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidEvent,
        format!(
            "event type {:?} is not two or more segments of a-z 0-9 - joined by dots, like orders.order.placed",
            shorten(event_type)
        ),
    ))
}

/// Checks the form of a topic name: 1 to 249 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
///
/// # Errors
/// Returns [`ErrorKind::InvalidEvent`] with the name. A retry does not help.
pub fn check_topic(topic: &str) -> Result<(), Error> {
    if is_plain(topic, 249) && topic != "." && topic != ".." {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidEvent,
        format!(
            "topic {:?} is not 1 to 249 characters of a-z A-Z 0-9 . _ -, like orders.order",
            shorten(topic)
        ),
    ))
}

/// Checks the name of a consumer, relay or bridge: 1 to `max` characters of `a-z A-Z 0-9 . _ -`. `what` names its owner in the
/// error.
///
/// # Errors
/// Returns [`ErrorKind::InvalidConfiguration`] with the name. A retry does not help.
pub fn check_name(what: &str, name: &str, max: usize) -> Result<(), Error> {
    if is_plain(name, max) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidConfiguration,
        format!("{what} name {:?} is not 1 to {max} characters of a-z A-Z 0-9 . _ -", shorten(name)),
    ))
}

/// Returns whether a name has 1 to `max` characters, all of them `a-z A-Z 0-9 . _ -`.
fn is_plain(name: &str, max: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=max).contains(&name.len()) && name.bytes().all(legal)
}

/// Shortens an untrusted name for an error text.
fn shorten(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(80) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_two_or_more_plain_segments() {
        for good in ["a.b", "orders.order.placed", "shop-7.order2.paid-late", "a.b.c.d.e"] {
            assert!(check_type(good).is_ok(), "{good}");
        }
        let long = format!("a.{}", "b".repeat(199));
        for bad in
            ["", "a", "a.", ".a", "a..b", "A.b", "a.b_c", "a.b c", "a.-.-", "a.b-", "a.b\n", "ä.b", &long]
        {
            let error = check_type(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidEvent);
        }
    }

    #[test]
    fn topics_are_what_kafka_accepts() {
        for good in ["orders.order", "a", "A_b-9", &"t".repeat(249)] {
            assert!(check_topic(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ü", &"t".repeat(250)] {
            assert!(check_topic(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hostile_name_is_cut_in_the_error() {
        let error = check_topic(&"x ".repeat(10_000)).expect_err("spaces");
        assert!(error.to_string().len() < 250);
    }
}
