//! Building and ending a bookkeeper.

use std::sync::Arc;

use messagekit::adapter::{Capabilities, NextOffset, Source};
use messagekit::operations::FailedMessageState;
use messagekit::{Error, ErrorKind};
use messagekit_bookkeeper::Bookkeeper;
use messagekit_memory::{MemoryLog, MemorySource};

use crate::fixture::{DEAD, Running, World, rejected};

#[test]
fn bookkeeper_builder_reports_all_mistakes_at_once() {
    let (world, log) = (World::new(), MemoryLog::new(1));
    let nothing = Bookkeeper::builder("bookkeeper", world.store.clone()).build().expect_err("no source");
    assert_eq!(nothing.kind(), ErrorKind::InvalidConfiguration);
    assert!(nothing.to_string().starts_with("a bookkeeper without queues and topics"), "{nothing}");

    let twice = Bookkeeper::builder("no name", world.store.clone())
        .queues(log.topics(["a"]), log.clone())
        .queues(log.topics(["b"]), log.clone())
        .build()
        .expect_err("two sources of queues, and a name with a space");
    let text = twice.to_string();
    assert!(text.contains("two sources of queues") && text.contains("\"no name.queues\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_bookkeeper_redelivers_to_queues_and_to_topics() {
    let (world, kafka) = (World::new(), MemoryLog::new(1));
    let bookkeeper = Bookkeeper::builder("bookkeeper", world.store.clone())
        .queues(world.broker.log.topics([DEAD]), world.broker.clone())
        .topics(kafka.topics([DEAD]), kafka.clone())
        .build()
        .expect("a valid bookkeeper");
    let running = Running::start(bookkeeper);
    world.dies(rejected("m-1", "billing")).await;
    let dead = messagekit::Message::new(DEAD, "{}").with_header("id", "m-1");
    let dead = dead.with_header(messagekit::headers::DEAD_KIND, "failed");
    let dead = dead.with_header(messagekit::headers::RETRY_TOPIC, "mailer.retry");
    messagekit::adapter::Publisher::publish(&kafka, &[dead]).await;
    world.until_failed_messages(2).await;
    for failed_message in world.failed_messages().await {
        world.retry(failed_message.id).await;
        world.until_state(failed_message.id, FailedMessageState::Resolved).await;
    }
    assert_eq!((world.queue("billing").len(), world.queue("mailer.retry").len()), (1, 0));
    assert_eq!((kafka.len("mailer.retry"), kafka.len("billing")), (1, 0));
    running.stop().await;
}

#[test]
fn a_source_without_topics_is_refused() {
    let (world, kafka) = (World::new(), MemoryLog::new(1));
    let nothing: [&str; 0] = [];
    let bookkeeper =
        Bookkeeper::builder("bookkeeper", world.store).topics(kafka.topics(nothing), kafka).build();
    let error = bookkeeper.expect_err("it would wait for ever");
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    assert!(error.to_string().contains("a source without topics delivers nothing"), "{error}");
}

/// A source whose consumer cannot join.
struct Refused(MemorySource);

impl Source for Refused {
    type Subscriber = <MemorySource as Source>::Subscriber;

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.0.topics()
    }

    async fn bind(self, _: &str, _: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        Err(Error::new(ErrorKind::Closed, "broker is shut down"))
    }
}

#[tokio::test(start_paused = true)]
async fn when_one_source_ends_with_an_error_all_end_with_it() {
    let (world, kafka) = (World::new(), MemoryLog::new(1));
    let bookkeeper = Bookkeeper::builder("bookkeeper", world.store.clone())
        .queues(world.broker.log.topics([DEAD]), world.broker.clone())
        .topics(Refused(kafka.topics(["bills.dead"])), kafka)
        .build()
        .expect("a valid bookkeeper");
    let error = Running::start(bookkeeper).ended().await.expect_err("one of its sources is refused");
    assert_eq!(error.kind(), ErrorKind::Closed);
}
