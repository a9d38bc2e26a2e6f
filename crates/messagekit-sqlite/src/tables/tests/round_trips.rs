//! Stored values are read back unchanged.

use super::*;

fn any_bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

prop_compose! {
    fn any_message()(
        key in prop::option::of(any_bytes(20)),
        payload in any_bytes(200),
        pairs in prop::collection::vec((
            prop_oneof![
                Just(headers::ID.to_owned()), Just(headers::EVENT_TYPE.to_owned()),
                Just(headers::CONTENT_TYPE.to_owned()), Just(headers::TRACEPARENT.to_owned()),
                Just(headers::CREATED_AT.to_owned()), Just(headers::FREE_HEADERS.to_owned()), ".{0,8}",
            ],
            prop_oneof![".{0,12}".prop_map(Bytes::from), any_bytes(12)],
        ), 0..8),
    ) -> Message {
        let mut message = Message::new("any.topic", payload);
        message.key = key;
        pairs.into_iter().for_each(|(name, value)| message.headers.set(&name, value));
        message
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_message_comes_back_as_it_was_from_its_record(message in any_message()) {
        let conn = database();
        append::append(&conn, std::slice::from_ref(&message), PARTITIONS, NOW).unwrap();
        let (_, mut stored) = read_all(&conn, "any.topic").pop().unwrap();
        if message.headers.get(headers::CREATED_AT).is_none() {
            let added = stored.message.headers.remove(headers::CREATED_AT);
            prop_assert_eq!(added.as_deref(), Some(&b"2026-09-21T14:13:20.123456Z"[..]));
        }
        prop_assert_eq!(stored.message, message);
    }

    #[test]
    fn any_message_comes_back_as_it_was_from_its_failed_message(
        message in any_message(), position in prop::option::of((".{1,8}", any::<i32>(), any::<i64>()))
    ) {
        let conn = database();
        let position = position.map(|(topic, partition, offset)| Position { topic: topic.into(), partition, offset });
        let received = ReceivedMessage { id: id("m-1"), message, position };
        let failure = retry_after(Duration::ZERO);
        let consumer = names::consumer(&conn, "billing").unwrap();
        failed_messages::set_aside(&conn, consumer, &Way::default(), &received, &failure, NOW).unwrap();
        let leased = retries::lease(&conn, consumer, 1, Duration::from_secs(1), NOW).unwrap();
        prop_assert_eq!(&leased[0].received, &received);
        prop_assert_eq!(&failed_message_lists::show(&conn, leased[0].failed_message).unwrap().received, &received);
    }
}
