//! What observers of topics hear, and when.

use std::sync::{Arc, Mutex};

use messagekit::Store;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_topic_store::AppendedRecord;
use messagekit_topics::{TopicEvent, Topics};
use serde_json::{Value, json};

use super::home::{self, Db};

/// Opens topics whose observer writes down what it hears.
async fn observed() -> (Topics<Db>, Arc<Mutex<Vec<TopicEvent>>>) {
    let topics = home::topics().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let writes = heard.clone();
    topics.observe(move |event| writes.lock().unwrap().push(event.clone()));
    (topics, heard)
}

fn link(url: &str) -> Value {
    json!({"url": url})
}

fn appended(id: i64) -> TopicEvent {
    TopicEvent::Appended { topic: "links".into(), id }
}

fn handled(id: i64) -> TopicEvent {
    TopicEvent::Handled { topic: "links".into(), consumer: "default".into(), id }
}

#[tokio::test]
async fn observers_hear_of_each_change_in_its_order() {
    let (topics, heard) = observed().await;
    let links = topics.untyped("links").dedup(["url"]).open().await.unwrap();
    topics.untyped("links").open().await.unwrap();
    links.append(&link("a")).await.unwrap();
    assert_eq!(links.append_if_new(&link("a")).await.unwrap(), AppendedRecord::Duplicate(1));
    links.append(&link("a")).await.unwrap_err();
    links.extend(&[link("b"), link("a")]).await.unwrap_err();
    links.extend(&[link("b"), link("c")]).await.unwrap();
    links.set_handled(2).await.unwrap();
    links.set_handled(9).await.unwrap_err();
    let duplicate = TopicEvent::Duplicate { topic: "links".into(), existing: 1 };
    assert_eq!(
        *heard.lock().unwrap(),
        [
            TopicEvent::Created { topic: "links".into() },
            appended(1),
            duplicate.clone(),
            duplicate.clone(),
            duplicate,
            appended(2),
            appended(3),
            handled(2)
        ]
    );
}

#[tokio::test]
async fn what_is_rolled_back_is_not_heard_of() {
    let (topics, heard) = observed().await;
    let links = topics.untyped("links").open().await.unwrap();
    let mut tx = topics.store().begin().await.unwrap();
    links.append_in(&mut tx, &link("a")).await.unwrap();
    topics.store().rollback(tx).await.unwrap();
    let mut tx = topics.store().begin().await.unwrap();
    let id = links.append_in(&mut tx, &link("b")).await.unwrap();
    links.set_handled_in(&mut tx, id).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 1, "nothing before the commit");
    topics.store().commit(tx).await.unwrap();
    eventually("both are heard of", DEADLINE, async || heard.lock().unwrap().len() == 3).await;
    assert_eq!(heard.lock().unwrap()[1..], [appended(id), handled(id)]);
}

#[tokio::test]
async fn an_observer_that_panics_disturbs_no_other() {
    let (topics, heard) = observed().await;
    topics.observe(|_| panic!("a broken observer"));
    let after = heard.clone();
    topics.observe(move |event| after.lock().unwrap().push(event.clone()));
    let links = topics.untyped("links").open().await.unwrap();
    assert_eq!(links.append(&link("a")).await.unwrap(), 1);
    assert_eq!(heard.lock().unwrap().len(), 4, "each of the two others heard of both");
}
