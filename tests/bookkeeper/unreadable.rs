//! Dead letters whose properties a client library cannot read.

use lapin::types::AMQPValue;
use messagekit::operations::Origin;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::raw_amqp::{RawProperties, RawPublisher, nested_arrays};

use crate::stage::Stage;

fn failed_message(id: &str) -> RawProperties {
    RawProperties::default().message_id(id.as_bytes()).kind(b"orders.order.placed")
}

#[test]
fn a_dead_letter_queue_is_read_past_what_cannot_be_read() {
    block_on(async {
        let stage = Stage::new().await;
        let (work, dead) = (stage.of("work"), stage.dead());
        // They expire, because a client would have to read them to reject them.
        stage.rabbit.queue_into(&work, &dead, &[("x-message-ttl", AMQPValue::LongLongInt(1))]).await;
        let text = [&b"S\0\0\0\x01"[..], b"x"].concat();
        let hostile = [
            failed_message("bad-0").header(b"caf\xe9", &text),
            failed_message("bad-1").app_id(b"caf\xe9"),
            failed_message("bad-2").message_id(b"caf\xe9"),
            failed_message("bad-3").header(b"deep", &nested_arrays(2_000)),
            failed_message("bad-4").header(b"deep", &nested_arrays(20_000)),
        ];
        let mut raw = RawPublisher::connect().await;
        for number in 0..16 {
            if let Some(hostile) = hostile.get(number / 3).filter(|_| number % 3 == 0) {
                let payload = format!("bad {}", number / 3);
                raw.publish(b"", work.as_bytes(), &hostile.to_bytes(), payload.as_bytes()).await;
            }
            let good = failed_message(&format!("good-{number}")).to_bytes();
            raw.publish(b"", work.as_bytes(), &good, b"{}").await;
        }
        eventually("all have expired", DEADLINE, async || stage.rabbit.count(&dead).await == 21).await;
        let keeping = stage.keep_queue();
        let failed_messages = stage.until_failed_messages(21).await;
        for failed_message in &failed_messages {
            assert_eq!(
                (failed_message.origin, &*failed_message.consumer),
                (Origin::Queue, &*format!("queue:{work}"))
            );
            assert_eq!(failed_message.return_to.as_deref(), Some(&*work), "{}", failed_message.error);
        }
        let unreadable: Vec<_> =
            failed_messages.iter().filter(|failed_message| failed_message.kind == "unreadable").collect();
        let payloads: Vec<&[u8]> =
            unreadable.iter().map(|failed_message| &failed_message.received.message.payload[..]).collect();
        assert_eq!(payloads, [b"bad 0", b"bad 1", b"bad 2", b"bad 3", b"bad 4"]);
        for (failed_message, what) in
            std::iter::zip(&unreadable, ["header", "app_id", "message_id", "deep", "deep"])
        {
            assert!(
                failed_message.error.contains("for longer than it may")
                    && failed_message.error.contains(what),
                "{}",
                failed_message.error
            );
            let raw = failed_message
                .received
                .message
                .headers
                .get(messagekit_rabbitmq::UNREADABLE_PROPERTIES)
                .unwrap();
            assert!((50..=16 * 1024).contains(&raw.len()), "{} bytes", raw.len());
        }

        // The readable part of one is redelivered.
        stage.rabbit.delete(&work).await;
        stage.rabbit.queue(&work, &[]).await;
        stage.send_back(unreadable[1].id).await;
        let back = stage.rabbit.next(&work).await;
        assert_eq!(
            (&back.data[..], back.properties.message_id().as_ref().unwrap().as_str()),
            (&b"bad 1"[..], "bad-1")
        );
        assert!(crate::rabbit::header(&back, "x-k-x-messagekit-unreadable").is_none());
        keeping.stop().await;
    });
}
