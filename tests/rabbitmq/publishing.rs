//! The meaning of `Ok`, and the outcome of all other messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;
use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit::{ErrorKind, Message, chain, headers};
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_testkit::transport::text;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{
    bound, close_connections, declare, delete_queue, depth, holds, join, message, named, outside, publish,
    queue, rabbit, raw, unbind,
};

#[test]
fn an_unroutable_message_is_rejected_and_its_key_waits() {
    block_on(async {
        let (exchange, queue) = bound().await;
        let publisher = rabbit().publisher_to(&exchange);
        let nowhere = |key, text| message("nowhere", key, text);
        let batch = [
            message(&queue, Some("a"), "1"),
            nowhere(Some("a"), "2"),
            message(&queue, Some("a"), "3"),
            message(&queue, Some("b"), "4"),
            nowhere(None, "5"),
            message(&queue, None, "6"),
        ];
        let results = publisher.publish(&batch).await;
        assert_eq!(named(&results), ["ok", "Rejected", "KeyBlocked", "ok", "Rejected", "ok"]);
        let error = &results[1].as_ref().unwrap_err().error;
        assert!(error.to_string().contains("312") && error.to_string().contains(&exchange), "{error}");
        assert!(
            !messagekit::chain(error).contains("nowhere"),
            "a routing key may be made of a payload: {error}"
        );
        holds(&queue, 3).await;
    });
}

/// The client attaches returned messages to other messages' acknowledgements: none of them may count as published.
#[test]
fn of_concurrent_messages_exactly_unroutable_ones_are_rejected() {
    block_on(async {
        let (exchange, queue) = bound().await;
        let publisher = rabbit().publisher_to(&exchange);
        for round in 0..20 {
            let goes = |number: usize| !(number * 7 + round).is_multiple_of(3);
            let batch: Vec<Message> = (0..300)
                .map(|number| {
                    message(if goes(number) { &queue } else { "nowhere" }, None, &format!("{round}-{number}"))
                })
                .collect();
            for (number, result) in publisher.publish(&batch).await.iter().enumerate() {
                assert_eq!(result.is_ok(), goes(number), "message {number} of round {round}: {result:?}");
            }
        }
    });
}

#[test]
fn a_binding_that_is_deleted_mid_run_loses_nothing() {
    block_on(async {
        let (exchange, queue) = bound().await;
        let publisher = rabbit().publisher_to(&exchange);
        let (topic, cut) = (queue.clone(), tokio::sync::Notify::new());
        let writing = async {
            let (mut taken, mut rejected) = (0, 0);
            for round in 0_usize.. {
                let batch: Vec<Message> =
                    (0..100).map(|number| message(&topic, None, &format!("{round}-{number}"))).collect();
                for result in publisher.publish(&batch).await {
                    match result {
                        Ok(()) => taken += 1,
                        Err(error) => {
                            assert_eq!(error.refusal, PublishErrorKind::Rejected, "{error:?}");
                            rejected += 1;
                        }
                    }
                }
                if round == 2 {
                    cut.notify_one();
                }
                if rejected > 0 {
                    break;
                }
            }
            taken
        };
        let cutting = async {
            cut.notified().await;
            unbind(&queue, &exchange, &queue).await;
        };
        let (taken, ()) = tokio::join!(writing, cutting);
        holds(&queue, taken).await;
    });
}

#[test]
fn missing_exchange_rejects_and_a_restored_one_accepts() {
    block_on(async {
        let (exchange, queue) = bound().await;
        let publisher = rabbit().publisher_to(&exchange);
        let batch: Vec<Message> = (0..60)
            .map(|number| message(&queue, Some(&format!("k{}", number % 30)), &format!("m{number}")))
            .collect();
        assert!(publisher.publish(&batch).await.iter().all(Result::is_ok));
        let (_connection, channel) = outside().await;
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
        let results = publisher.publish(&batch).await;
        assert_eq!(&named(&results)[..30], vec!["Rejected"; 30]);
        assert_eq!(&named(&results)[30..], vec!["KeyBlocked"; 30]);
        let error = &results[0].as_ref().unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(chain(error).contains(&exchange) && chain(error).contains("NOT_FOUND"), "{}", chain(error));

        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let kind = lapin::ExchangeKind::Topic;
        channel
            .exchange_declare(exchange.as_str().into(), kind, options, FieldTable::default())
            .await
            .unwrap();
        let (name, key) = (exchange.as_str().into(), (&*queue).into());
        channel
            .queue_bind((&*queue).into(), name, key, Default::default(), FieldTable::default())
            .await
            .unwrap();
        assert!(publisher.publish(&batch).await.iter().all(Result::is_ok));
        holds(&queue, 120).await;
    });
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    block_on(async {
        let name = unique("queue");
        declare(Queue::dead_letters(&name).max_length(5)).await;
        let publisher = rabbit().publisher();
        let mut taken = 0;
        let mut refused = None;
        for number in 0..200 {
            match publisher.publish(&[message(&name, Some("k"), &format!("m{number}"))]).await.remove(0) {
                Ok(()) => taken += 1,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let refused = refused.expect("the queue is full at some time");
        assert_eq!(refused.refusal, PublishErrorKind::Full, "{refused:?}");
        assert!(refused.error.to_string().contains("full"), "{refused:?}");
        assert_eq!(depth(&name).await, taken, "what was Ok is there, and nothing else");
        while depth(&name).await > 0 {
            raw(&name).await;
        }
        let room = async || publisher.publish(&[message(&name, Some("k"), "room")]).await.remove(0).is_ok();
        eventually("there is room again", DEADLINE, room).await;
    });
}

#[test]
fn what_no_broker_takes_is_rejected_before_it_is_sent() {
    block_on(async {
        let queue = queue().await;
        let long = "n".repeat(300);
        let header = vec![b'x'; 66_000];
        let batch = [
            message(&queue, Some("a"), "1").with_header("large", header),
            message(&queue, Some("a"), "2"),
            message(&queue, None, "3").with_header(&long, "x"),
            message(&queue, None, "4"),
            message("no such queue", None, "5"),
            message(&queue, None, &"x".repeat(900_001)),
        ];
        let results = rabbit().publisher().publish(&batch).await;
        assert_eq!(named(&results), ["Rejected", "KeyBlocked", "Rejected", "ok", "Rejected", "Rejected"]);
        assert_eq!(results[0].as_ref().unwrap_err().error.kind(), ErrorKind::TooLarge);
        holds(&queue, 1).await;
    });
}

#[test]
fn hostile_headers_reach_no_other_queue_and_close_no_channel() {
    block_on(async {
        let (exchange, queue_name) = bound().await;
        let victim = queue().await;
        let names = [
            "CC",
            "BCC",
            "user_id",
            "expiration",
            "x-death",
            "x-delay",
            "priority",
            "delivery_mode",
            "reply_to",
        ];
        let hostile = names.iter().fold(message(&queue_name, Some("k"), "m"), |message, name| {
            message.with_header(name, victim.as_bytes().to_vec())
        });
        let hostile = hostile.with_header("x-messagekit-key", "forged").with_header("x-k-id", "forged");
        let publisher = rabbit().publisher_to(&exchange);
        publisher.publish(std::slice::from_ref(&hostile)).await.remove(0).unwrap();
        publisher.publish(&[message(&queue_name, Some("k"), "after")]).await.remove(0).unwrap();
        holds(&queue_name, 2).await;
        assert_eq!(depth(&victim).await, 0, "CC and BCC were obeyed");

        let mut receiver = join(&rabbit(), &queue_name).await;
        let received = receiver.take(2).await;
        let read = &received[0].message;
        assert_eq!(read.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(read.headers.text(headers::ID), Some("m"));
        assert_eq!(read.headers.get(headers::X_DEATH), None, "nobody forges deaths");
        for name in names.iter().filter(|name| **name != "x-death").chain(&["x-messagekit-key", "x-k-id"]) {
            assert_eq!(read.headers.get(name), hostile.headers.get(name), "{name}");
        }
    });
}

#[test]
fn the_wire_form_is_as_documented() {
    block_on(async {
        let queue = queue().await;
        let sent = message(&queue, Some("k"), "m-1")
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
            .with_header(headers::CONTENT_TYPE, headers::JSON)
            .with_header(headers::TRACEPARENT, "00-1-2-01")
            .with_header("tenant", "north");
        publish(&[sent]).await;
        let raw = raw(&queue).await.delivery;
        let properties = &raw.properties;
        let short = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|text| text.to_string());
        assert_eq!(short(properties.message_id()).as_deref(), Some("m-1"));
        assert_eq!(short(properties.kind()).as_deref(), Some("orders.order.placed"));
        assert_eq!(short(properties.content_type()).as_deref(), Some("application/json"));
        assert_eq!(*properties.delivery_mode(), Some(2));
        let table = properties.headers().as_ref().unwrap();
        let names: Vec<&str> = table.inner().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "x-delivery-count", "x-k-tenant", "x-messagekit-key"]);
        assert_eq!(raw.data, b"m-1");
    });
}

/// Every message with an `Ok` is in the queue, whatever happened to the connection. The first copies of a key are in order.
#[test]
fn connections_closed_by_the_operator_under_load_lose_nothing() {
    block_on(async {
        let queue = queue().await;
        let name = unique("service");
        let publisher = rabbit().name(name.as_str()).publisher();
        let closed = Arc::new(AtomicBool::new(false));
        let writing = |key: usize| {
            let (publisher, queue, closed) = (publisher.clone(), queue.clone(), Arc::clone(&closed));
            async move {
                let mut number = 0;
                while !closed.load(Ordering::Relaxed) {
                    let batch = [message(&queue, Some(&format!("k{key}")), &format!("{key:02}-{number:06}"))];
                    while let Err(error) = publisher.publish(&batch).await.remove(0) {
                        let again = matches!(
                            error.refusal,
                            PublishErrorKind::Unknown | PublishErrorKind::Unavailable
                        );
                        assert!(again, "{error:?}");
                    }
                    number += 1;
                    // The management interface decides how long this takes; it must not decide how many messages there are.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                number
            }
        };
        let writers: Vec<_> = (0..20).map(|key| tokio::spawn(writing(key))).collect();
        for _ in 0..2 {
            close_connections(&format!("{name} publisher")).await;
        }
        closed.store(true, Ordering::Relaxed);
        let mut taken = 0;
        for writer in writers {
            taken += writer.await.unwrap();
        }
        let mut receiver = join(&rabbit(), &queue).await;
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        while seen.len() < taken {
            // Settled one by one: the broker continues to deliver, however many there are.
            let delivery = receiver.message().await;
            let text = text(&delivery);
            receiver.settle_receipts(vec![delivery.receipt]);
            if seen.insert(text.clone()) {
                let (key, number) = text.split_once('-').unwrap();
                let before = last.insert(key.to_owned(), number.to_owned());
                assert!(before.is_none_or(|before| *before < *number), "{text} came late");
            }
        }
    });
}

#[test]
fn a_broker_that_is_away_is_unavailable_within_the_deadline() {
    block_on(async {
        let rabbit = RabbitMq::new("amqp://u:hunter2@127.0.0.1:9/").unwrap();
        let rabbit = rabbit.confirm_deadline(Duration::from_secs(5));
        let batch = [message("q", Some("a"), "1"), message("q", Some("a"), "2"), message("q", None, "3")];
        let results = tokio::time::timeout(DEADLINE, rabbit.publisher().publish(&batch)).await.unwrap();
        assert_eq!(named(&results), ["Unavailable", "KeyBlocked", "Unavailable"]);
        let said = format!("{:?}", results[0]);
        assert!(said.contains("127.0.0.1:9") && !said.contains("hunter2"), "{said}");
    });
}

#[test]
fn wrong_password_is_reported_but_not_shown() {
    block_on(async {
        let url = messagekit_tests::services::amqp_url();
        let (_, host) = url.split_once('@').unwrap();
        let rabbit = RabbitMq::new(&format!("amqp://messagekit:hunter2@{host}")).unwrap();
        let publisher = rabbit.confirm_deadline(Duration::from_millis(1_500)).publisher();
        // On a busy machine the deadline may come before the broker's answer.
        eventually("it is told", DEADLINE, async || {
            let error = publisher.publish(&[message("q", None, "1")]).await.remove(0).unwrap_err();
            let said = chain(&error);
            assert!(!said.contains("hunter2"), "{said}");
            said.contains("ACCESS_REFUSED")
        })
        .await;
    });
}

#[test]
fn a_dropped_publish_sends_no_more_messages() {
    block_on(async {
        let queue = queue().await;
        let publisher = rabbit().window(1).publisher();
        publish(&[message(&queue, Some("k"), "first")]).await;
        let batch: Vec<Message> =
            (0..500).map(|number| message(&queue, Some("k"), &format!("m{number}"))).collect();
        // Dropped at its first await: no message or only the first one was sent.
        let dropped = tokio::time::timeout(Duration::ZERO, publisher.publish(&batch)).await;
        assert!(dropped.is_err(), "500 messages one by one take time");
        publisher.publish(&[message(&queue, Some("k"), "last")]).await.remove(0).unwrap();
        assert!(depth(&queue).await < 500, "what nobody waits for was sent");
    });
}

#[test]
fn a_deleted_queue_rejects() {
    block_on(async {
        let queue: Arc<str> = queue().await;
        let publisher = rabbit().publisher();
        publisher.publish(&[message(&queue, None, "1")]).await.remove(0).unwrap();
        delete_queue(&queue).await;
        let results = publisher.publish(&[message(&queue, None, "2")]).await;
        assert_eq!(named(&results), ["Rejected"]);
    });
}
