//! How a service ends.

use std::sync::{Arc, Mutex};

use messagekit::{ErrorKind, Shutdown};
use messagekit_testkit::eventually;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_answers_until_the_message_in_flight_is_done() {
    let (store, consumer, held) = billing(0);
    let stats = consumer.stats();
    let running = started(service().store("billing", store.clone()).consumer(consumer)).await;
    place(&store, "o-1").await;
    tokio::time::timeout(DEADLINE, held.arrived.notified()).await.expect("it is handled");
    running.shutdown.request();
    assert!(running.page("/health/live").await.contains("healthy"));
    assert_eq!(stats.read().handled, 0);
    held.through.add_permits(1);
    running.ended().await.expect("a clean stop");
    assert_eq!(stats.read().handled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_stop_in_the_reverse_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let part = |name: &'static str| {
        let order = Arc::clone(&order);
        move |shutdown: Shutdown| async move {
            shutdown.await;
            order.lock().expect("names").push(name);
            Ok::<(), messagekit::Error>(())
        }
    };
    let service = service().part("first", part("first")).part("second", part("second"));
    started(service).await.stop().await.expect("a clean stop");
    assert_eq!(*order.lock().expect("names"), ["second", "first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_ends_the_service_with_its_error() {
    let (store, consumer, _) = billing(1);
    let stats = consumer.stats();
    let refused = || messagekit::Error::new(ErrorKind::WrongState, "the printer has no paper");
    let service = service()
        .store("billing", store)
        .consumer(consumer)
        .part("printer", move |_| async move { Err::<(), _>(refused()) });
    let running = started(service).await;
    let error = running.ended().await.expect_err("a part failed");
    assert_eq!(error.kind(), ErrorKind::WrongState);
    assert!(messagekit::chain(&error).contains("printer"), "{error}");
    eventually("the end of the consumer", DEADLINE, async || stats.connection().ended.is_some()).await;
}
