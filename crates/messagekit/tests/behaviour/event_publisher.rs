//! Typed events that are published without an outbox.

use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::{
    Consumer, Envelope, Error, ErrorKind, Event, EventPublisher, HandlerError, Message, WireForm, headers,
};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(type = "stores.door.opened", key = "door")]
struct DoorOpened {
    door: String,
}

fn opened(door: &str) -> DoorOpened {
    DoorOpened { door: door.to_owned() }
}

async fn count(tx: &mut MemoryTx, event: Envelope<DoorOpened>) -> Result<(), HandlerError> {
    tx.add(format!("{} of {}", event.data.door, event.source), 1);
    Ok(())
}

/// A broker with a fixed answer.
struct Broker(PublishErrorKind);

impl Publisher for Broker {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        let answer = || {
            let error = Error::new(ErrorKind::Unavailable, "no answer");
            Err(PublishError { refusal: self.0, error })
        };
        Box::pin(std::future::ready(batch.iter().map(|_| answer()).collect()))
    }

    fn max_bytes(&self) -> usize {
        usize::MAX
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_reads_what_was_published_once_for_each_id() {
    let (log, store) = (MemoryLog::new(2), MemoryStore::new());
    let events = EventPublisher::new(log.clone(), "door-service").unwrap();
    let north = Envelope::new(opened("north"));
    let id = events.publish(north.clone()).await.unwrap();
    assert_eq!(id, north.event_id);
    // After an unknown outcome.
    events.publish(north).await.unwrap();
    let answers = events.publish_all([opened("south"), opened("south")]).await.unwrap();
    assert!(answers.len() == 2 && answers.iter().all(Result::is_ok), "{answers:?}");

    let source = log.topics([DoorOpened::TOPIC]);
    let doors = Consumer::builder("doors", store.clone()).from(source).on(count).build().unwrap();
    let done = doors.run_until_idle().await.unwrap();
    assert_eq!((done.handled, done.duplicates), (3, 1));
    assert_eq!((store.get("north of door-service"), store.get("south of door-service")), (1, 2));
}

#[tokio::test]
async fn prefix_and_form_are_those_of_an_outbox() {
    let log = MemoryLog::new(1);
    let events = EventPublisher::new(log.clone(), "doors").unwrap();
    let events = events.topic_prefix("test.").wire_form(WireForm::CloudEventsStructured);
    events.publish(opened("north")).await.unwrap();
    let record = log.records("test.stores.door").remove(0);
    let content_type = record.message.headers.text(headers::CONTENT_TYPE).unwrap();
    assert!(content_type.starts_with("application/cloudevents+json"), "{content_type}");
}

#[tokio::test]
async fn nothing_is_published_of_events_that_cannot_all_be_encoded() {
    let log = MemoryLog::new(1);
    let events = EventPublisher::new(log.clone(), "doors").unwrap().topic_prefix("a topic with spaces ");
    let refused = events.publish(opened("north")).await.unwrap_err();
    assert_eq!(refused.refusal, PublishErrorKind::Rejected);
    let refused = events.publish_all([opened("north")]).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert!(log.is_empty("stores.door"));
    let unnamed = EventPublisher::new(log, "a name with spaces").unwrap_err();
    assert_eq!(unnamed.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test]
async fn what_the_broker_answers_is_the_answer() {
    for kind in [PublishErrorKind::Unavailable, PublishErrorKind::Unknown, PublishErrorKind::Full] {
        let events = EventPublisher::new(Broker(kind), "doors").unwrap();
        assert_eq!(events.publish(opened("north")).await.unwrap_err().refusal, kind);
        let answers = events.publish_all([opened("north"), opened("south")]).await.unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.refusal == kind)));
    }
}
