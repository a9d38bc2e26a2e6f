//! A subscriber while connection, channel and queue come and go.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use messagekit::adapter::{Incoming, Publisher, Receipt, Source, Subscriber};
use messagekit::{ErrorKind, Message, headers};
use messagekit_rabbitmq::{Queue, RabbitMqSubscriber};
use messagekit_testkit::transport::{Receiver, text, texts};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{
    QUIET, close_connections, declare, delete_queue, depth, holds, join, message, numbered, outside, publish,
    queue, rabbit,
};

/// Waits for the next error.
async fn trouble(subscriber: &mut RabbitMqSubscriber) -> messagekit::Error {
    let next = async {
        loop {
            match std::future::poll_fn(|cx| subscriber.poll_next(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("the subscriber ended"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, next).await.expect("an error is told")
}

#[test]
fn stale_receipts_are_never_sent() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 5).await;
        let consumer = unique("consumer");
        let subscriber = rabbit().queue(queue.clone()).bind(&consumer, &[]).await.unwrap();
        let mut receiver = Receiver::new(subscriber, &consumer);
        let stale: Vec<Receipt> =
            receiver.take(5).await.into_iter().map(|delivery| delivery.receipt).collect();
        close_connections(&format!("messagekit consumer {consumer}")).await;
        // The new channel counts its tags from one: the old receipts would settle other messages.
        let again = receiver.take(5).await;
        receiver.settle_receipts(stale);
        receiver.close().await.unwrap();
        drop(again);
        eventually("all five are back", DEADLINE, async || depth(&queue).await == 5).await;
    });
}

#[test]
fn a_queue_deleted_under_a_consumer_is_read_once_recreated() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 1).await;
        let mut receiver = join(&rabbit(), &queue).await;
        let first = receiver.message().await;
        delete_queue(&queue).await;
        let lost = receiver.next_within(DEADLINE).await.unwrap();
        assert!(matches!(lost, Some(Incoming::Lost { lane }) if lane == first.receipt.lane()), "{lost:?}");
        let error = trouble(receiver.subscriber()).await;
        assert!(error.is_transient(), "{error:?}");
        declare(Queue::dead_letters(&*queue)).await;
        publish(&[message(&queue, None, "back")]).await;
        assert_eq!(text(&receiver.message().await), "back");
    });
}

#[test]
fn missing_queue_is_reported_and_waited_for() {
    block_on(async {
        let short = unique("queue");
        // The broker cuts its text at a limit, here in the middle of a character.
        let long = |begin: String| format!("{begin}{}", "é".repeat((255 - begin.len()) / 2));
        let (one, other) = (long(format!("{short}.")), long(format!("{short}..")));
        let any = rabbit().allow_lossy_queues();
        for (rabbit, name) in [(rabbit(), short), (any.clone(), one), (any, other)] {
            let name: std::sync::Arc<str> = name.into();
            let mut receiver = join(&rabbit, &name).await;
            let error = trouble(receiver.subscriber()).await;
            assert!(error.is_transient(), "{error:?}");
            let said = error.to_string();
            assert!(said.contains("not there") && error.context("queue") == Some(&*name), "{error:?}");
            declare(Queue::dead_letters(&*name)).await;
            publish(&[message(&name, None, "m")]).await;
            assert_eq!(text(&receiver.message().await), "m");
        }
    });
}

#[test]
fn queue_that_may_lose_messages_is_refused_with_the_difference() {
    block_on(async {
        let name = unique("queue");
        let (_connection, channel) = outside().await;
        let options = lapin::options::QueueDeclareOptions::durable();
        channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.unwrap();
        let consumer = unique("consumer");
        let mut subscriber = rabbit().queue(name.as_str()).bind(&consumer, &[]).await.unwrap();
        let error = trouble(&mut subscriber).await;
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        let said = error.to_string();
        assert!(said.contains("x-queue-type is classic and should be quorum"), "{said}");
        let next = std::future::poll_fn(|cx| subscriber.poll_next(cx)).await;
        assert!(next.is_none(), "{next:?}");

        publish(&[message(&name, None, "m")]).await;
        let any = rabbit().allow_lossy_queues();
        assert_eq!(text(&join(&any, &name.into()).await.message().await), "m");
    });
}

#[test]
fn released_messages_cost_no_delivery_and_keep_their_order() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 3).await;
        let mut receiver = join(&rabbit(), &queue).await;
        for _ in 0..20 {
            let received = receiver.take(3).await;
            assert_eq!(texts(&received), ["m0", "m1", "m2"]);
            receiver.release(received);
        }
        receiver.close().await.unwrap();
        eventually("all are back", DEADLINE, async || depth(&queue).await == 3).await;
        let raw = crate::broker::raw(&queue).await;
        let table = raw.properties.headers().as_ref().unwrap();
        let count = table.inner().get("x-delivery-count");
        assert_eq!(count, Some(&AMQPValue::LongLongInt(1)), "only the close counted");
    });
}

#[test]
fn connections_closed_under_load_deliver_everything() {
    block_on(async {
        let queue = queue().await;
        let consumer = unique("consumer");
        let subscriber = rabbit().prefetch(50).queue(queue.clone()).bind(&consumer, &[]).await.unwrap();
        let mut receiver = Receiver::new(subscriber, &consumer);
        let publisher = rabbit().publisher();
        let (closed, written) = (Cell::new(false), Cell::new(None));
        let writing = async {
            let mut part = 0;
            while written.get().is_none() {
                // The last message is published after the last connection was closed: read until then.
                if closed.get() {
                    written.set(Some((part + 1) * 20));
                }
                let batch: Vec<Message> =
                    (0..20).map(|number| message(&queue, None, &format!("{part}-{number}"))).collect();
                for result in publisher.publish(&batch).await {
                    result.unwrap();
                }
                part += 1;
                // The management interface decides how long this takes; it must not decide how many messages there are.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let closing = async {
            for _ in 0..2 {
                close_connections(&format!("messagekit consumer {consumer}")).await;
            }
            closed.set(true);
        };
        let reading = async {
            let mut seen = BTreeSet::new();
            while written.get().is_none_or(|written| seen.len() < written) {
                let delivery = receiver.message().await;
                seen.insert(text(&delivery));
                receiver.settle_receipts(vec![delivery.receipt]);
            }
        };
        tokio::join!(writing, closing, reading);
    });
}

#[test]
fn no_more_than_the_prefetch_is_taken_out_of_a_queue() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 100).await;
        let mut receiver = join(&rabbit().prefetch(10), &queue).await;
        let taken = receiver.take(10).await;
        assert!(receiver.take_while_busy(QUIET).await.is_empty(), "more than the prefetch came");
        holds(&queue, 90).await;
        drop(taken);
    });
}

/// The broker gives the next message to a reader with room for one only when the last one is acknowledged.
#[test]
fn an_acknowledgement_waits_for_no_other() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 2_000).await;
        let mut receiver = join(&rabbit().prefetch(1), &queue).await;
        for number in 0..2_000 {
            let taken = receiver.take(1).await;
            assert_eq!(texts(&taken), [format!("m{number}")]);
            receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
        }
        receiver.close().await.unwrap();
        holds(&queue, 0).await;
    });
}

/// A message of a foreign publisher: other header types, and no messagekit id.
#[test]
fn foreign_messages_are_read_as_they_are() {
    block_on(async {
        let queue = queue().await;
        let (_connection, channel) = outside().await;
        let mut table = FieldTable::default();
        for (name, value) in [
            ("number", AMQPValue::LongInt(-7)),
            ("flag", AMQPValue::Boolean(true)),
            ("nothing", AMQPValue::Void),
            (
                "nested",
                AMQPValue::FieldArray(vec![AMQPValue::LongLongInt(1), crate::broker::text("a")].into()),
            ),
            ("x-death", crate::broker::text("forged")),
            ("x-first-death-queue", crate::broker::text("forged")),
            ("x-acquired-count", AMQPValue::LongLongInt(3)),
        ] {
            table.insert(name.into(), value);
        }
        let properties = BasicProperties::default().with_message_id("m-1".into()).with_headers(table);
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), (&*queue).into(), options, b"\xff\x00", properties).await.unwrap();
        for number in 0..300 {
            let mut many = FieldTable::default();
            for name in 0..number * 10 {
                many.insert(format!("h{name}").into(), AMQPValue::Boolean(true));
            }
            if number == 299 {
                let properties = BasicProperties::default().with_headers(many);
                channel
                    .basic_publish("".into(), (&*queue).into(), options, b"many", properties)
                    .await
                    .unwrap();
            }
        }
        let mut receiver = join(&rabbit(), &queue).await;
        let received = receiver.take(2).await;
        let read = &received[0].message;
        assert_eq!(&read.payload[..], b"\xff\x00");
        assert_eq!((read.key.as_ref(), received[0].position.as_ref()), (None, None));
        for (name, value) in [
            (headers::ID, Some("m-1")),
            ("number", Some("-7")),
            ("flag", Some("true")),
            ("nothing", None),
            ("nested", Some(r#"[1,"a"]"#)),
            (headers::X_DEATH, Some(r#""forged""#)),
            ("x-first-death-queue", None),
            ("x-acquired-count", None),
        ] {
            assert_eq!(read.headers.text(name), value, "{name}");
        }
        let more = received[1].message.headers.get(messagekit_rabbitmq::MORE_HEADERS).unwrap();
        let more: Vec<(String, String)> = serde_json::from_slice(more).unwrap();
        assert_eq!(more.len() + received[1].message.headers.len() - 1, 2_990);
    });
}

#[test]
fn a_source_of_nothing_or_of_a_queue_twice_is_refused() {
    block_on(async {
        for queues in [vec![], vec!["a", "a"]] {
            let error = rabbit().topics(queues).bind("consumer", &[]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        }
        let publisher = rabbit().publisher();
        assert!(publisher.publish(&[]).await.is_empty());
    });
}
