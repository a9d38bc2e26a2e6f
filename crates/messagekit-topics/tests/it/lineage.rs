//! What led to a record, and what a record led to.

use std::sync::Arc;

use messagekit::operations::EventHistory;
use messagekit::{MessageId, headers};
use messagekit_topic_store::{RecordQuery, RecordReads};
use messagekit_topics::{Error, Topic, Topics};
use serde_json::{Value, json};

use super::home::{self, Db};

pub(crate) type Numbers = Topic<Value, Db>;

pub(crate) async fn open(topics: &Topics<Db>, name: &str) -> Numbers {
    topics.untyped(name).open().await.unwrap()
}

/// Runs a pipeline that adds one to each number.
pub(crate) async fn run(from: &Numbers, to: &Numbers) {
    let next = async |number: Value| Ok::<_, Error>(json!({ "n": number["n"].as_i64().unwrap() + 1 }));
    from.pipe(next).to(to).run().await.unwrap();
}

/// Returns the events that the records of a topic are.
async fn events(topics: &Topics<Db>, topic: &str) -> Vec<MessageId> {
    let (consumer, topic): (Arc<str>, Arc<str>) = ("default".into(), topic.into());
    let query = RecordQuery { consumer, topic, status: None, after: 0, max: 100 };
    let records = topics.store().read_records(&query).await.unwrap().records;
    let id = |headers: &messagekit::Headers| MessageId::from_stored(headers.text(headers::ID).unwrap());
    records.iter().map(|record| id(&record.record.message.headers)).collect()
}

#[tokio::test]
async fn outputs_and_their_record_lead_to_each_other() {
    let topics = home::topics().await;
    let (a, b, c) = (open(&topics, "a").await, open(&topics, "b").await, open(&topics, "c").await);
    a.extend(&[json!({"n": 1}), json!({"n": 10})]).await.unwrap();
    run(&a, &b).await;
    run(&b, &c).await;
    let (a, b, c) = (events(&topics, "a").await, events(&topics, "b").await, events(&topics, "c").await);
    let store = topics.store();
    for row in 0..2 {
        for (event, cause) in [(&b[row], &a[row]), (&c[row], &b[row])] {
            let links = store.event_record(event).await.unwrap().event.unwrap().links;
            assert_eq!(
                (links.causation_id, links.correlation_id),
                (Some(cause.clone()), Some(a[row].clone()))
            );
            let effects = store.linked_events(&[], std::slice::from_ref(cause), 10).await.unwrap();
            assert_eq!(effects.iter().map(|effect| &effect.event_id).collect::<Vec<_>>(), [event]);
        }
        let chain = store.correlated_events(&a[row], 10).await.unwrap();
        let chain: Vec<_> = chain.into_iter().map(|event| event.event_id).collect();
        assert_eq!(chain, [a[row].clone(), b[row].clone(), c[row].clone()]);
    }
}

#[tokio::test]
async fn an_output_belongs_to_the_correlation_of_its_source() {
    use messagekit::adapter::{EventLinks, OutboxRows};
    use messagekit::{Headers, Message, Store};
    let topics = home::topics().await;
    let (a, b) = (open(&topics, "a").await, open(&topics, "b").await);
    let first = MessageId::new();
    let mut headers = Headers::new();
    headers.set(headers::ID, MessageId::new().as_str().to_owned());
    let links = EventLinks { correlation_id: Some(first.clone()), ..EventLinks::default() };
    links.add_to(&mut headers);
    let placed = Message { headers, ..Message::new("a", r#"{"n":1}"#) };
    let store = topics.store();
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &[placed]).await.unwrap();
    store.commit(tx).await.unwrap();
    run(&a, &b).await;
    let output = events(&topics, "b").await.remove(0);
    let links = store.event_record(&output).await.unwrap().event.unwrap().links;
    assert_eq!(links.correlation_id, Some(first));
    assert_eq!(links.causation_id, Some(events(&topics, "a").await.remove(0)));
}
