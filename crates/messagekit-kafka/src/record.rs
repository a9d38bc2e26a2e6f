//! Conversion between Kafka records and messages, with headers as Debezium writes and reads them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::MAX_HEADERS;
use messagekit::{Error, ErrorKind, Headers, Message, headers};
use rdkafka::message::{BorrowedMessage, Header, Message as _, OwnedHeaders};

/// The header that holds the headers after the first 256 names: a JSON list of `[name, value]`, in the serialised
/// form of [`Headers`](messagekit::Headers).
pub const MORE_HEADERS: &str = "moreHeaders";

/// The header that holds the values before the last one of each name that a record has several times: a JSON list of
/// `[name, value]` in the order of the record, in the serialised form of [`Headers`](messagekit::Headers).
pub const REPEATED_HEADERS: &str = "repeatedHeaders";

/// The most bytes of names and values in [`REPEATED_HEADERS`], whose JSON may have four times as many: brokers limit headers.
const MAX_REPEATED: usize = 8 * 1_024;

/// The name under which [`REPEATED_HEADERS`] says how many of the oldest values were left out.
const LEFT_OUT: &str = "leftOut";

/// Reads a record. Its payload and key are copied once.
pub(crate) fn read(record: &BorrowedMessage<'_>, topic: &Arc<str>) -> Message {
    let mut headers = record.headers().map(read_headers).unwrap_or_default();
    mark_tombstone(&mut headers, record.payload());
    Message {
        topic: topic.clone(),
        key: record.key().map(Bytes::copy_from_slice),
        headers,
        payload: record.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
    }
}

/// A copy of a tombstone keeps its mark; a payload, such as that of a repaired copy, ends it.
fn mark_tombstone(headers: &mut Headers, payload: Option<&[u8]>) {
    match payload {
        None => headers.set(headers::TOMBSTONE, "true"),
        Some([]) => {}
        Some(_) => drop(headers.remove(headers::TOMBSTONE)),
    }
}

/// Reads headers: a null value is an absent header, and of several with one name the last counts; [`REPEATED_HEADERS`] holds
/// the others.
pub(crate) fn read_headers(found: &impl rdkafka::message::Headers) -> Headers {
    let mut headers = Headers::new();
    let mut more: Vec<(String, Bytes)> = Vec::new();
    let mut repeated: Vec<(String, Bytes)> = Vec::new();
    let mut unreadable = 0_u32;
    for index in 0..found.count() {
        // The client panics over a name that is not UTF-8, and offers no other access to a header: see
        // `check_unwinding`.
        let header = catch_unwind(AssertUnwindSafe(|| found.try_get(index)));
        let Ok(header) = header else {
            unreadable += 1;
            continue;
        };
        let Some(Header { key, value: Some(value) }) = header else { continue };
        let value = Bytes::copy_from_slice(value);
        // Beyond the limit a search per header would have quadratic cost.
        if headers.len() < MAX_HEADERS || headers.get(key).is_some() {
            repeated.extend(headers.get(key).map(|earlier| (key.to_owned(), earlier.clone())));
            headers.set(key, value);
        } else {
            more.push((key.to_owned(), value));
        }
    }
    keep_in(MORE_HEADERS, more, &mut headers);
    keep_in(REPEATED_HEADERS, newest(repeated), &mut headers);
    if unreadable > 0 {
        let reason =
            format!("record has headers whose name is not UTF-8 ({unreadable} of {})", found.count());
        headers.set(headers::UNREADABLE, reason);
    }
    headers
}

/// Returns the last values that fit, behind the number of those that do not.
fn newest(mut repeated: Vec<(String, Bytes)>) -> Vec<(String, Bytes)> {
    let mut bytes = 0;
    let fits = |(name, value): &&(String, Bytes)| {
        bytes += name.len() + value.len();
        bytes <= MAX_REPEATED
    };
    let left_out = repeated.len() - repeated.iter().rev().take_while(fits).count();
    if left_out > 0 {
        let note = (LEFT_OUT.to_owned(), Bytes::from(left_out.to_string()));
        repeated.splice(..left_out, [note]);
    }
    repeated
}

/// Keeps pairs in the header `name`, if there are any.
fn keep_in(name: &str, mut pairs: Vec<(String, Bytes)>, headers: &mut Headers) {
    if !pairs.is_empty() {
        // A record's own header of this name is kept inside.
        pairs.extend(headers.remove(name).map(|value| (name.to_owned(), value)));
        headers.set(name, as_json(&pairs));
    }
}

/// Rejects a program in which a panic ends the process: one header name that is not UTF-8 would end it at each start.
///
/// # Errors
/// Permanent, [`ErrorKind::InvalidConfiguration`].
pub(crate) fn check_unwinding(panics_abort: bool) -> Result<(), Error> {
    if panics_abort {
        let text = "this program is built with panic = \"abort\", in which one record with a header name that is not UTF-8 ends a \
                    consumer of kafka at each start: build it with panic = \"unwind\"";
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    Ok(())
}

fn as_json(headers: &[(String, Bytes)]) -> Vec<u8> {
    let value = |value: &Bytes| match std::str::from_utf8(value) {
        Ok(text) => serde_json::Value::from(text),
        Err(_) => serde_json::json!({ "bytes": value.as_ref() }),
    };
    let pairs: Vec<_> = headers.iter().map(|(name, bytes)| (name, value(bytes))).collect();
    serde_json::to_vec(&pairs).expect("pairs of texts are JSON")
}

/// Checks that a message can be sent.
///
/// # Errors
/// Permanent if no broker accepts the message.
pub(crate) fn check(message: &Message) -> Result<(), Error> {
    message.check()?;
    check_names(message)
}

/// Rejects only names that no client can send unchanged.
pub(crate) fn check_names(message: &Message) -> Result<(), Error> {
    if message.headers.iter().any(|(name, _)| name.contains('\0')) {
        let text = "header name with a zero byte is cut off by readers: leave it out";
        return Err(Error::new(ErrorKind::InvalidEvent, text).with("topic", &message.topic));
    }
    Ok(())
}

/// Returns the greatest number of bytes that a request needs for a message without compression.
pub(crate) fn wire_size(message: &Message) -> usize {
    // The header of a batch has 61 bytes, the lengths, offsets and times of a record have at most 41, and those of a
    // header at most 10: https://kafka.apache.org/documentation/#messageformat
    let of_cloud_event =
        cloud_event_type(message).map_or(0, |value| headers::CE_CONTENT_TYPE.len() + value.len() + 10);
    message.size() + 61 + 41 + 10 * message.headers.len() + of_cloud_event
}

/// Converts the headers of a message to those of a record. A CloudEvent gets its content type under the name of the binding
/// for Kafka, too: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>.
pub(crate) fn headers_of(message: &Message) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(message.headers.len() + 1);
    let of_cloud_event = cloud_event_type(message).map(|value| (headers::CE_CONTENT_TYPE, value));
    message.headers.iter().chain(of_cloud_event).fold(headers, |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(value.as_ref()) })
    })
}

fn cloud_event_type(message: &Message) -> Option<&Bytes> {
    let content_type = message.headers.get(headers::CONTENT_TYPE)?;
    let is_structured = || {
        let prefix = b"application/cloudevents";
        content_type.get(..prefix.len()).is_some_and(|found| found.eq_ignore_ascii_case(prefix))
    };
    let is_cloud_event = message.headers.get(headers::CE_SPECVERSION).is_some() || is_structured();
    (is_cloud_event && message.headers.get(headers::CE_CONTENT_TYPE).is_none()).then_some(content_type)
}

#[cfg(test)]
mod tests {
    use messagekit::headers;
    use proptest::prelude::*;

    use super::*;

    fn found(pairs: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }))
    }

    #[test]
    fn repeated_values_beyond_the_limit_are_counted() {
        let value = |number: usize| Bytes::from(vec![0xff; if number == 0 { MAX_REPEATED } else { 100 }]);
        let all: Vec<_> = (0..3).map(|number| ("tenant".to_owned(), value(number))).collect();
        let kept = newest(all.clone());
        assert_eq!(kept[0], (LEFT_OUT.to_owned(), Bytes::from("1")));
        assert_eq!(kept[1..], all[1..]);
        assert!(as_json(&newest(vec![("a".to_owned(), value(1)); 1_000])).len() < 5 * MAX_REPEATED);
        assert_eq!(newest(all[1..].to_vec()), all[1..]);
    }

    #[test]
    fn a_null_value_is_an_absent_header() {
        let read = read_headers(&found(&[("id", Some(b"m-1")), ("traceparent", None), ("empty", Some(b""))]));
        assert_eq!(read.text(headers::ID), Some("m-1"));
        assert_eq!(read.get(headers::TRACEPARENT), None);
        assert_eq!(read.text("empty"), Some(""));
    }

    #[test]
    fn the_last_of_several_headers_of_one_name_counts() {
        let read = read_headers(&found(&[("id", Some(b"a")), ("x", Some(b"y")), ("id", Some(b"b"))]));
        assert_eq!((read.text("id"), read.text("x"), read.len()), (Some("b"), Some("y"), 3));
        assert_eq!(read.text(REPEATED_HEADERS), Some(r#"[["id","a"]]"#));
    }

    #[test]
    fn a_records_own_header_of_repeats_is_kept_inside() {
        let own = [(REPEATED_HEADERS, Some(&b"own"[..]))];
        assert_eq!(read_headers(&found(&own)).text(REPEATED_HEADERS), Some("own"));
        let twice = [("x", Some(&b"a"[..])), ("x", Some(b"\xff")), ("x", Some(b"c")), own[0]];
        let kept = r#"[["x","a"],["x",{"bytes":[255]}],["repeatedHeaders","own"]]"#;
        assert_eq!(read_headers(&found(&twice)).text(REPEATED_HEADERS), Some(kept));
    }

    #[test]
    fn a_payload_ends_the_mark_of_a_tombstone() {
        for (payload, is_marked) in [(None, true), (Some(&b""[..]), true), (Some(b"{}"), false)] {
            let mut headers = Headers::new();
            mark_tombstone(&mut headers, None);
            mark_tombstone(&mut headers, payload);
            assert_eq!(headers.text(headers::TOMBSTONE), is_marked.then_some("true"));
        }
        let mut headers = Headers::new();
        mark_tombstone(&mut headers, Some(b""));
        assert!(headers.is_empty(), "an empty payload is none");
    }

    #[test]
    fn headers_beyond_the_limit_are_kept_in_one() {
        let names: Vec<String> = (0..20_000).map(|number| format!("h{number}")).collect();
        let pairs: Vec<(&str, Option<&[u8]>)> =
            names.iter().map(|name| (name.as_str(), Some(name.as_bytes()))).collect();
        let read = read_headers(&found(&pairs));
        assert_eq!(read.len(), MAX_HEADERS + 1);
        assert_eq!(read.text("h255"), Some("h255"));
        let more: Vec<(String, String)> =
            serde_json::from_slice(&read.get(MORE_HEADERS).unwrap()[..]).unwrap();
        assert_eq!(more.len(), 20_000 - MAX_HEADERS);
        assert!(more.iter().all(|(name, value)| name == value));
    }

    #[test]
    fn a_header_whose_name_is_not_utf8_makes_the_message_unreadable() {
        // Bypasses the type's check, as another client would.
        struct Foreign;
        impl rdkafka::message::Headers for Foreign {
            fn count(&self) -> usize {
                2
            }
            fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
                assert!(index == 1, "the name is not UTF-8");
                Some(Header { key: "id", value: Some(b"m-1") })
            }
        }
        let read = read_headers(&Foreign);
        assert_eq!(read.text("id"), Some("m-1"));
        assert!(
            read.text(headers::UNREADABLE).is_some_and(|reason| reason.ends_with("(1 of 2)")),
            "{read:?}"
        );
    }

    #[test]
    fn the_content_type_of_a_cloud_event_stands_under_both_names() {
        let message = |content_type: &str| {
            Message::new("orders", "{}").with_header("contentType", content_type.to_owned())
        };
        for (message, is_event) in [
            (message("application/json"), false),
            (message("application/json").with_header("ce_specversion", "1.0"), true),
            (message("Application/CloudEvents+JSON; mode=binary"), true),
        ] {
            let record = read_headers(&headers_of(&message));
            let both = record
                .get("content-type")
                .is_some_and(|value| Some(value) == message.headers.get("contentType"));
            assert_eq!(both, is_event, "{message:?}");
            let plain = Message { headers: record, ..message.clone() };
            assert_eq!(wire_size(&plain), wire_size(&message), "what is added counts");
        }
    }

    #[test]
    fn a_program_that_aborts_on_a_panic_is_refused() {
        let error = check_unwinding(true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains("panic = \"unwind\""), "{error}");
        assert!(check_unwinding(false).is_ok());
    }

    #[test]
    fn a_name_that_readers_would_cut_off_is_refused() {
        let message = Message::new("orders", "{}").with_header("a\0b", "c");
        assert_eq!(check(&message).unwrap_err().kind(), ErrorKind::InvalidEvent);
    }

    proptest! {
        #[test]
        fn any_headers_come_back_as_they_were_sent(
            pairs in prop::collection::vec(("[^\0]{0,12}", prop::collection::vec(any::<u8>(), 0..24)), 0..300)
        ) {
            let message = pairs.iter().fold(Message::new("orders", "{}"), |message, (name, value)| {
                message.with_header(name, value.clone())
            });
            prop_assume!(message.headers.len() <= MAX_HEADERS);
            prop_assert_eq!(read_headers(&headers_of(&message)), message.headers);
        }
    }
}
