//! Handlers that fail.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::Shutdown;
use messagekit::operations::FailedMessageState;
use messagekit_client::{Consumer, Message};

use super::shop::{GROUP, Shop, end_of, number};

/// Without pauses between attempts.
fn at_once(consumer: Consumer) -> Consumer {
    consumer.backoff(Duration::ZERO, 1.0, Duration::ZERO)
}

async fn fails_on_zero(message: Message) -> Result<(), io::Error> {
    if number(&message) == 0 { Err(io::Error::other("no stock")) } else { Ok(()) }
}

type Heard = Arc<Mutex<Vec<(&'static str, u32)>>>;

/// Notes each hook that is called.
fn heard_by(consumer: Consumer, heard: &Heard) -> Consumer {
    let (errors, retries) = (heard.clone(), heard.clone());
    consumer
        .on_error(move |_, error, attempt| {
            assert_eq!(error.to_string(), "no stock");
            errors.lock().unwrap().push(("error", attempt));
        })
        .on_retry(move |_, _, attempt, pause| {
            assert_eq!(pause, Duration::ZERO);
            retries.lock().unwrap().push(("retry", attempt));
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_record_is_retried_and_ends_as_failed_message() {
    let shop = Shop::with(2).await;
    let (heard, shutdown) = (Heard::default(), Shutdown::new());
    let (failures, stop) = (heard.clone(), shutdown.clone());
    let consumer = heard_by(at_once(shop.consumer()).limit(1).max_attempts(2), &heard);
    let consumer = consumer.on_failed(move |message, _| {
        failures.lock().unwrap().push(("failed", message.attempt()));
        if message.attempt() == 10 {
            stop.request();
        }
        std::future::ready(Err::<(), _>("it is not noted"))
    });
    end_of(consumer.run(fails_on_zero, shutdown)).await.unwrap();
    let delivery = |number| [("error", 1), ("retry", 1), ("error", 2), ("failed", number)];
    assert_eq!(*heard.lock().unwrap(), (1..=10).flat_map(delivery).collect::<Vec<_>>());
    let failed = shop.failed_messages().await;
    assert_eq!(failed.len(), 1);
    let head = &failed[0].head;
    assert_eq!((&*head.consumer, head.state, &*head.error), (GROUP, FailedMessageState::Dead, "no stock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noted_failure_is_acknowledged() {
    let shop = Shop::with(1).await;
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let consumer = at_once(shop.consumer()).max_attempts(1).on_failed(move |_, error| {
        assert_eq!(error.to_string(), "no stock");
        stop.request();
        std::future::ready(Ok::<_, io::Error>(()))
    });
    end_of(consumer.run(fails_on_zero, shutdown)).await.unwrap();
    assert_eq!((shop.lag(), shop.settled()), (0, 1));
    assert!(shop.failed_messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noted_failure_without_ack_on_failed_comes_again() {
    let shop = Shop::with(1).await;
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let consumer = at_once(shop.consumer()).max_attempts(1).ack_on_failed(false);
    let consumer = consumer.on_failed(move |message, _| {
        if message.attempt() == 2 {
            stop.request();
        }
        std::future::ready(Ok::<_, io::Error>(()))
    });
    end_of(consumer.run(fails_on_zero, shutdown)).await.unwrap();
    assert_eq!(shop.lag(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_fails_its_record_only() {
    let shop = Shop::with(2).await;
    let (shutdown, texts) = (Shutdown::new(), Arc::new(Mutex::new(Vec::new())));
    let (stop, seen) = (shutdown.clone(), texts.clone());
    let handler = move |message: Message| {
        assert_ne!(number(&message), 0, "a panic that the test wants");
        stop.request();
        std::future::ready(Ok::<_, io::Error>(()))
    };
    let consumer = at_once(shop.consumer()).on_failed(move |_, error| {
        seen.lock().unwrap().push(error.to_string());
        std::future::ready(Ok::<_, io::Error>(()))
    });
    end_of(consumer.run(handler, shutdown)).await.unwrap();
    assert_eq!(*texts.lock().unwrap(), ["handler panicked"]);
    assert_eq!((shop.lag(), shop.settled()), (0, 2));
}
