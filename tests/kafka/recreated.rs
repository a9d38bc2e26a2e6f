//! A topic that is deleted and made again under its name while it is read, before any metadata shows that it was gone.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Primings, Publisher, Source};
use messagekit::log::{Log, OrderedReader, Page, PartitionStart, Start};
use messagekit::{Consumer, Error, ErrorKind, HandlerError, Message, Shutdown, headers};
use messagekit_kafka::{KafkaSubscriber, OnRecreatedTopic};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_testkit::transport::{Receiver, texts};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::make_topic;
use rdkafka::admin::AdminOptions;

use crate::broker::{ADMIN, admin, committed, kafka, publish, topic};
use crate::lost_positions::permanent_error_of;

/// Deletes a topic and makes it again at once, with records of its own.
async fn make_again(topic: &Arc<str>, records: usize) {
    let options = AdminOptions::new().operation_timeout(Some(ADMIN));
    let deleted = admin().delete_topics(&[&**topic], &options).await.unwrap();
    deleted.into_iter().for_each(|answer| drop(answer.unwrap()));
    make_topic(topic, 1, &[]).await;
    publish(topic, (0..records).map(|number| format!("again{number}"))).await;
}

async fn join(topic: &Arc<str>, consumer: &str, setting: OnRecreatedTopic) -> Receiver<KafkaSubscriber> {
    let source = kafka().on_recreated_topic(setting).topics([topic.clone()]);
    Receiver::new(source.bind(consumer, &[]).await.unwrap(), consumer)
}

/// Joins, and handles the six records of a new topic.
async fn handle_six(
    topic: &Arc<str>,
    consumer: &str,
    setting: OnRecreatedTopic,
) -> Receiver<KafkaSubscriber> {
    publish(topic, (0..6).map(|number| format!("m{number}"))).await;
    let mut receiver = join(topic, consumer, setting).await;
    let taken = receiver.take(6).await;
    receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
    eventually("six records are settled", DEADLINE, async || committed(consumer, topic, 0).await == Some(6))
        .await;
    receiver
}

#[test]
fn a_recreated_topic_stops_its_reader_before_a_record_of_it() {
    block_on(async {
        for records in [12, 3] {
            let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
            let mut receiver = handle_six(&topic, &consumer, OnRecreatedTopic::default()).await;
            make_again(&topic, records).await;
            let error = permanent_error_of(receiver.subscriber()).await;
            assert_eq!((error.kind(), error.context("topic")), (ErrorKind::WrongState, Some(&*topic)));
            assert!(error.to_string().contains("was deleted and made again"), "{error}");
        }
    });
}

#[test]
fn a_recreated_topic_is_read_from_its_start_by_the_setting() {
    block_on(async {
        for records in [12, 3] {
            let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
            let mut receiver = handle_six(&topic, &consumer, OnRecreatedTopic::ReadFromStart).await;
            make_again(&topic, records).await;
            let expected: Vec<String> = (0..records).map(|number| format!("again{number}")).collect();
            assert_eq!(texts(&receiver.take(records).await), expected);
        }
    });
}

#[test]
fn a_reader_of_a_recreated_topic_ends_before_a_record_of_it() {
    block_on(async {
        for records in [12, 3] {
            let topic = topic(1, &[]).await;
            publish(&topic, (0..6).map(|number| format!("m{number}"))).await;
            let mut reader = kafka().log().open(&topic, &[(0, PartitionStart::Earliest)]).await.unwrap();
            let mut next = async || {
                tokio::time::timeout(DEADLINE, poll_fn(|cx| reader.poll_page(100, cx))).await.unwrap()
            };
            while !matches!(next().await.unwrap(), Page::End { at: 6, .. }) {}
            make_again(&topic, records).await;
            let error = loop {
                match next().await {
                    Err(error) if error.is_transient() => {}
                    Err(error) => break error,
                    Ok(page) => assert!(matches!(page, Page::End { .. }), "{page:?}"),
                }
            };
            assert_eq!((error.kind(), error.context("topic")), (ErrorKind::WrongState, Some(&*topic)));
            assert!(error.to_string().contains("was deleted and made again"), "{error}");
            assert_eq!(next().await.unwrap_err().to_string(), error.to_string(), "it stays at its end");
        }
    });
}

#[test]
fn an_ordered_reader_of_a_recreated_topic_ends_with_an_error() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, (0..6).map(|number| format!("m{number}"))).await;
        let reader = OrderedReader::builder().source(Arc::new(kafka().log()), &*topic, Start::Earliest);
        let mut reader = reader.open().await.unwrap();
        let mut read = 0;
        eventually("all of the past is read", DEADLINE, async || {
            read += reader.poll(Duration::from_millis(100)).await.unwrap().len();
            read == 6 && reader.is_live()
        })
        .await;
        make_again(&topic, 12).await;
        let mut error = None;
        eventually("the reader ends", DEADLINE, async || {
            match reader.poll(Duration::from_millis(100)).await {
                Ok(records) => assert!(records.is_empty(), "{records:?}"),
                Err(failed) => error = (!failed.is_transient()).then_some(failed),
            }
            error.is_some()
        })
        .await;
        assert!(error.unwrap().to_string().contains("was deleted and made again"));
    });
}

async fn note(tx: &mut MemoryTx, message: Message) -> Result<(), HandlerError> {
    tx.add(String::from_utf8_lossy(&message.payload), 1);
    Ok(())
}

async fn publish_events(topic: &Arc<str>, texts: impl Iterator<Item = String>) {
    let event = |text| {
        let message = Message::new(topic.clone(), text).with_key("k").with_header(headers::ID, unique("m"));
        message.with_header(headers::EVENT_TYPE, "shop.number.noted")
    };
    let batch: Vec<Message> = texts.map(event).collect();
    for result in kafka().publisher().unwrap().publish(&batch).await {
        result.unwrap();
    }
}

/// Runs a consumer that is primed from the topic until it ends, or the group has committed `until`.
async fn run_primed(store: &MemoryStore, topic: &Arc<str>, consumer: &str, until: i64) -> Result<(), Error> {
    let reader = OrderedReader::builder().source(Arc::new(kafka().log()), &**topic, Start::Earliest);
    let built = Consumer::builder(consumer.to_owned(), store.clone()).from(kafka().topics([topic.clone()]));
    let shutdown = Shutdown::new();
    let running = tokio::spawn(built.fallback(note).build().unwrap().prime(reader).run(shutdown.clone()));
    eventually("it is primed and lives, or has ended", DEADLINE, async || {
        running.is_finished() || committed(consumer, topic, 0).await == Some(until)
    })
    .await;
    shutdown.request();
    running.await.unwrap()
}

#[test]
fn a_primed_consumer_of_a_recreated_topic_stops_as_any_other() {
    block_on(async {
        let (topic, consumer, store) = (topic(1, &[]).await, unique("consumer"), MemoryStore::new());
        publish_events(&topic, (0..25).map(|number| format!("m{number}"))).await;
        run_primed(&store, &topic, &consumer, 25).await.unwrap();
        let priming = store.priming(&consumer).await.unwrap().unwrap();
        assert!(priming.is_in_group(), "{priming:?}");

        make_again(&topic, 0).await;
        publish_events(&topic, (0..40).map(|number| format!("again{number}"))).await;
        let error = run_primed(&store, &topic, &consumer, 40).await.expect_err("25 records would be skipped");
        assert_eq!((error.kind(), error.context("remembered")), (ErrorKind::WrongState, Some("25")));
        assert_eq!((store.get("again0"), store.get("again25")), (0, 0));
    });
}

#[test]
fn a_consumer_with_a_database_handles_a_recreated_topic_whole() {
    block_on(async {
        let (topic, consumer, store) = (topic(1, &[]).await, unique("consumer"), MemoryStore::new());
        publish_events(&topic, (0..6).map(|number| format!("m{number}"))).await;
        let source = kafka().on_recreated_topic(OnRecreatedTopic::ReadFromStart).topics([topic.clone()]);
        for (records, last) in [(12, "again11"), (0, "later")] {
            let built = Consumer::builder(consumer.clone(), store.clone()).from(source.clone());
            let shutdown = Shutdown::new();
            let running = tokio::spawn(built.fallback(note).build().unwrap().run(shutdown.clone()));
            if records > 0 {
                eventually("six records are settled", DEADLINE, async || {
                    committed(&consumer, &topic, 0).await == Some(6)
                })
                .await;
                make_again(&topic, 0).await;
                publish_events(&topic, (0..records).map(|number| format!("again{number}"))).await;
            } else {
                publish_events(&topic, ["later".to_owned()].into_iter()).await;
            }
            eventually("the last record is handled", DEADLINE, async || store.get(last) == 1).await;
            shutdown.request();
            running.await.unwrap().unwrap();
        }
        assert!((0..12).all(|number| store.get(&format!("again{number}")) == 1), "each is handled once");
    });
}

#[test]
fn a_publisher_writes_to_a_recreated_topic() {
    block_on(async {
        let (topic, publisher) = (topic(1, &[]).await, kafka().publisher().unwrap());
        for round in 0..2 {
            let batch: Vec<Message> = (0..6)
                .map(|number| Message::new(topic.clone(), format!("m{round}{number}")).with_key("k"))
                .collect();
            for result in publisher.publish(&batch).await {
                result.unwrap();
            }
            if round == 0 {
                make_again(&topic, 0).await;
            }
        }
        assert_eq!(kafka().log().bounds(&topic).await.unwrap()[0].end, 6);
    });
}
