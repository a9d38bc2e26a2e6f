//! What a consumer handles and acknowledges, and how it ends.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_client::wire::Consume;
use messagekit_client::{Consumer, Message};

use super::shop::{GROUP, ORDERS, Shop, end_of, number};

/// Handles so many records, and returns them.
async fn handled(consumer: Consumer, wanted: usize) -> Vec<Message> {
    let (messages, shutdown) = (Arc::new(Mutex::new(Vec::new())), Shutdown::new());
    let (seen, stop) = (messages.clone(), shutdown.clone());
    let handler = move |message| {
        let mut seen = seen.lock().unwrap();
        seen.push(message);
        if seen.len() == wanted {
            stop.request();
        }
        std::future::ready(Ok::<_, Infallible>(()))
    };
    end_of(consumer.run(handler, shutdown)).await.unwrap();
    Arc::into_inner(messages).unwrap().into_inner().unwrap()
}

fn numbers(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_consumer_handles_and_acknowledges_in_order() {
    let shop = Shop::with(25).await;
    let messages = handled(shop.consumer().limit(10), 25).await;
    assert_eq!(numbers(&messages), (0..25).collect::<Vec<_>>());
    assert_eq!((shop.lag(), shop.settled()), (0, 25));
    let first = &messages[0];
    assert_eq!((first.topic(), first.partition(), first.offset()), (ORDERS, 0, 0));
    assert_eq!((first.op(), first.attempt(), &**first.payload()), ("Insert", 1, &br#"{"n":0}"#[..]));
    assert!(first.event_id().is_some() && first.timestamp().as_second() > 0);
    let shown = format!("{first:?} {:?}", shop.consumer());
    assert!(!shown.contains(shop.served.token()) && !shown.contains("\"n\""), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_extended_while_a_slow_handler_runs() {
    let shop = Shop::with(2).await;
    let (client, shutdown) = (shop.client(), Shutdown::new());
    let has_waited = Arc::new(Mutex::new(false));
    let (waited, requested) = (has_waited.clone(), shutdown.clone());
    let handler = move |message: Message| {
        let (client, waited, stop) = (client.clone(), waited.clone(), requested.clone());
        async move {
            if number(&message) == 1 {
                stop.request();
                return Ok(());
            }
            // It waits for longer than the lease, and would have a record whose lease has ended.
            let wait = Some(14);
            let other =
                Consume { group_id: Some(GROUP.into()), timeout_seconds: wait, ..Consume::of(ORDERS) };
            let answer = client.consume(&other).await?;
            assert!(answer.messages.is_empty(), "another worker has got {:?}", answer.messages);
            *waited.lock().unwrap() = true;
            Ok::<_, messagekit::Error>(())
        }
    };
    let consumer = shop.consumer().lease(Duration::from_secs(10)).max_attempts(1);
    end_of(consumer.run(handler, shutdown)).await.unwrap();
    assert!(*has_waited.lock().unwrap() && shop.failed_messages().await.is_empty());
    assert_eq!((shop.lag(), shop.settled()), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_the_rest_to_others_at_once() {
    let shop = Shop::with(10).await;
    let consumer = || shop.consumer().lease(Duration::from_secs(3_600));
    assert_eq!(numbers(&handled(consumer(), 3).await), [0, 1, 2]);
    let rest = handled(consumer(), 7).await;
    assert_eq!(numbers(&rest), (3..10).collect::<Vec<_>>());
    assert!(rest.iter().all(|message| message.attempt() == 1), "what was not begun counts no attempt");
    assert_eq!(shop.lag(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_in_the_middle_of_a_claim_brings_all_again() {
    let shop = Arc::new(Shop::with(3).await);
    let (numbers, shutdown) = (Arc::new(Mutex::new(Vec::new())), Shutdown::new());
    let (seen, stop, reset) = (numbers.clone(), shutdown.clone(), shop.clone());
    let handler = move |message: Message| {
        let mut seen = seen.lock().unwrap();
        seen.push(number(&message));
        if *seen == [0] {
            reset.served.sql(&format!("RESET CONSUMER GROUP '{GROUP}' ON {ORDERS} TO 0"));
        }
        if seen.iter().filter(|number| **number == 2).count() == 2 {
            stop.request();
        }
        std::future::ready(Ok::<_, Infallible>(()))
    };
    end_of(shop.consumer().run(handler, shutdown)).await.unwrap();
    assert_eq!(*numbers.lock().unwrap(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(shop.lag(), 0);
}
