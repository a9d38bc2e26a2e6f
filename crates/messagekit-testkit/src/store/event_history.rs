//! The history of one event, and the events around it.

use std::time::Duration;

use messagekit::adapter::{EventLinks, OutboxRows, WithoutRelay};
use messagekit::operations::{
    Action, EventFilter, EventHistory, FailedMessages, MarkerOutcome, ReplayIds, ReplayOrder, Replays,
    StoredEvent,
};
use messagekit::{Error, Message, MessageId, headers};

use super::fixture::{begin, claim_now, commit, failed_message, somebody};
use super::{OperatorsFixture, received};
use crate::{DEADLINE, eventually, unique};

fn id(text: &str) -> MessageId {
    MessageId::from_stored(text)
}

fn event(topic: &str, id: &str) -> Message {
    Message::new(topic, "{}")
        .with_key("k")
        .with_header(headers::ID, id.to_owned())
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header(headers::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
}

/// Writes an event with its links, in a transaction of its own at a time of its own.
async fn write<F: OperatorsFixture>(fixture: &F, topic: &str, event: &str, links: EventLinks) {
    let store = fixture.store();
    // The clock of the database has to advance between two events.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut message = self::event(topic, event);
    links.add_to(&mut message.headers);
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[message]).await.expect("the event can be written");
    commit(&store, tx).await;
    store.wake();
}

fn caused(correlation: &str, causation: &str) -> EventLinks {
    EventLinks { correlation_id: Some(id(correlation)), causation_id: Some(id(causation)), replay_of: None }
}

/// Three events: the first of a chain, its effect, and the effect of that.
async fn chain<F: OperatorsFixture>(fixture: &F) -> (String, [String; 3]) {
    let (topic, events) = (unique("topic"), [unique("first"), unique("second"), unique("third")]);
    write(fixture, &topic, &events[0], EventLinks::default()).await;
    write(fixture, &topic, &events[1], caused(&events[0], &events[0])).await;
    write(fixture, &topic, &events[2], caused(&events[0], &events[1])).await;
    (topic, events)
}

async fn linked<F: OperatorsFixture>(fixture: &F, ids: &[&str], causes: &[&str]) -> Vec<String> {
    let all = |ids: &[&str]| ids.iter().map(|text| id(text)).collect::<Vec<_>>();
    let found = fixture.store().linked_events(&all(ids), &all(causes), 100).await;
    let found = found.expect("linked events are found");
    found.into_iter().map(|event| event.event_id.to_string()).collect()
}

/// The record has the event, its headers and its links, and its own time.
pub async fn event_is_found_with_its_links<F: OperatorsFixture>(fixture: &F) {
    let (topic, [first, second, _]) = chain(fixture).await;
    let record = fixture.store().event_record(&id(&second)).await.expect("the record is read");
    let event = record.event.expect("the event is kept");
    assert_eq!((event.head.event_id.as_str(), &*event.head.topic), (second.as_str(), topic.as_str()));
    assert_eq!((event.head.key.as_deref(), event.head.payload_bytes), (Some(&b"k"[..]), 2));
    assert_eq!(event.head.event_type.as_deref(), Some("orders.order.placed"));
    assert_eq!(event.links, caused(&first, &first));
    let trace = event.headers.text(headers::TRACEPARENT);
    assert!(trace.is_some_and(|trace| trace.starts_with("00-4bf92f35")), "{trace:?}");
}

/// No reader of a topic sees the links among the headers: of an event, of a delayed one, and of a republication.
pub async fn links_are_not_published<F: OperatorsFixture>(fixture: &F) {
    let (topic, [first, ..]) = chain(fixture).await;
    let store = fixture.store();
    let mut delayed = event(&topic, &unique("delayed"));
    caused(&first, &first).add_to(&mut delayed.headers);
    let mut tx = begin(&store).await;
    let written =
        store.write_after(&mut tx, &[delayed], Duration::from_millis(1), WithoutRelay::SendAtOnce).await;
    written.expect("the event can be written");
    commit(&store, tx).await;
    store.wake();
    eventually("the events can be read", DEADLINE, async || fixture.events(&topic).await.len() == 4).await;
    republish(fixture, &topic).await;
    eventually("all can be read again", DEADLINE, async || fixture.events(&topic).await.len() == 8).await;

    let events = fixture.events(&topic).await;
    let names = |event: &Message| {
        let mut names: Vec<String> = event.headers.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    };
    for event in &events[1..] {
        assert_eq!(names(event), names(&events[0]), "an event with links looks like one without");
    }
}

/// What no database knows has an empty record.
pub async fn record_of_an_unknown_event_is_empty<F: OperatorsFixture>(fixture: &F) {
    chain(fixture).await;
    let record = fixture.store().event_record(&id(&unique("unknown"))).await.expect("the record is read");
    assert!(record.is_empty(), "{record:?}");
    assert!(record.replays.is_empty(), "{record:?}");
}

/// Events are found by their ids and by their causes, each once, oldest first.
pub async fn causes_and_effects_are_found<F: OperatorsFixture>(fixture: &F) {
    let (_, [first, second, third]) = chain(fixture).await;
    assert_eq!(linked(fixture, &[&first], &[]).await, [&*first]);
    assert_eq!(linked(fixture, &[], &[&first]).await, [&*second]);
    assert_eq!(linked(fixture, &[], &[&second, &first]).await, [second.clone(), third.clone()]);
    assert_eq!(linked(fixture, &[&second], &[&first]).await, [&*second], "each once");
    assert_eq!(linked(fixture, &[], &[&third]).await, Vec::<String>::new());
    let few = fixture.store().linked_events(&[id(&first), id(&second)], &[], 1).await.expect("found");
    assert_eq!(few.len(), 1, "at most the limit");
}

/// A correlation finds its first event and all that name it, oldest first.
pub async fn events_of_a_correlation_are_found<F: OperatorsFixture>(fixture: &F) {
    let (topic, events) = chain(fixture).await;
    write(fixture, &topic, &unique("other"), caused("another", "another")).await;
    let found = fixture.store().correlated_events(&id(&events[0]), 100).await.expect("events are found");
    assert_eq!(found.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), events);
    assert_eq!(found[2].links, caused(&events[0], &events[1]));
    let few = fixture.store().correlated_events(&id(&events[0]), 2).await.expect("events are found");
    assert_eq!(few.len(), 2, "at most the limit");
}

/// The record has the marker of each consumer, and the failed messages.
pub async fn record_tells_what_each_consumer_did<F: OperatorsFixture>(fixture: &F) {
    let (store, applied, failed) = (fixture.store(), unique("applied"), unique("failed"));
    let message = received(&unique("topic"), "{}");
    claim_now(&store, &applied, &message).await;
    let number = failed_message(&store, &failed, &message).await;
    claim_now(&store, &applied, &received(&unique("topic"), "{}")).await;

    let record = store.event_record(&message.id).await.expect("the record is read");
    let outcome = |consumer: &str| {
        let own = record.outcomes.iter().find(|outcome| outcome.consumer == consumer);
        own.map(|outcome| outcome.outcome)
    };
    assert_eq!(record.outcomes.len(), 2, "{record:?}");
    assert_eq!(outcome(&applied), Some(MarkerOutcome::Done));
    assert_eq!(outcome(&failed), Some(MarkerOutcome::Held));
    assert_eq!(record.failed_messages.len(), 1);
    assert_eq!((record.failed_messages[0].id, &record.failed_messages[0].consumer), (number, &failed));
    assert!(record.event.is_none(), "this database did not write it");
}

/// The record has what operators did to the event's failed messages, newest first, and nothing of others.
pub async fn record_tells_what_operators_did<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, other) = (received(&unique("topic"), "{}"), received(&unique("topic"), "{}"));
    let number = failed_message(&store, &consumer, &message).await;
    let strange = failed_message(&store, &consumer, &other).await;
    for action in [Action::Discard, Action::Undo] {
        store.act(action, &[number], &somebody()).await.expect("the action is answered");
    }
    store.act(Action::Discard, &[strange], &somebody()).await.expect("the action is answered");
    let record = store.event_record(&message.id).await.expect("the record is read");
    let actions: Vec<_> = record.actions.iter().map(|action| action.action.as_str()).collect();
    assert_eq!(actions, ["undo", "discard"]);
    assert_eq!((&record.actions[0].failed_messages, record.actions[0].done), (&vec![number], 1));
    assert_eq!(record.actions[0].operator, somebody().name);
}

fn renamed(event: &StoredEvent) -> Result<(MessageId, Message), Error> {
    let id = id(&format!("{}-again", event.event_id.as_str()));
    let mut message = event.message.clone();
    message.headers.set(headers::ID, id.as_str().to_owned());
    Ok((id, message))
}

fn replay_of(topic: &str) -> ReplayOrder {
    let filter = EventFilter { topic: Some(topic.to_owned()), ..EventFilter::default() };
    ReplayOrder { filter, ids: ReplayIds::New, per_second: None, count: None }
}

/// Republishes the events of a topic under new ids, and returns the number of the replay.
async fn republish<F: OperatorsFixture>(fixture: &F, topic: &str) -> i64 {
    let store = fixture.store();
    let job = store.order_replay(&replay_of(topic), &somebody()).await.expect("a replay can be ordered");
    let hour = Duration::from_secs(3_600);
    let (lease, _) = store.lease_replay(hour).await.expect("leases are answered").expect("a replay runs");
    store.replay_step(lease, 100, hour, &renamed).await.expect("a step is answered");
    job.id
}

/// A republication under a new id is found from its original, and has the links of it. So are the replays.
pub async fn record_tells_of_replays_and_republications<F: OperatorsFixture>(fixture: &F) {
    let (topic, [first, second, _]) = chain(fixture).await;
    let store = fixture.store();
    let job = republish(fixture, &topic).await;
    store.order_replay(&replay_of(&unique("topic")), &somebody()).await.expect("a replay can be ordered");

    let record = store.event_record(&id(&second)).await.expect("the record is read");
    assert_eq!(record.replays.iter().map(|replay| replay.id).collect::<Vec<_>>(), [job]);
    assert_eq!(record.republications.len(), 1, "{record:?}");
    assert_eq!(record.republications[0].event_id.as_str(), format!("{second}-again"));
    let links = EventLinks { replay_of: Some(id(&second)), ..caused(&first, &first) };
    assert_eq!(record.republications[0].links, links);
    let actions: Vec<_> =
        record.actions.iter().map(|action| (action.action.as_str(), action.replay)).collect();
    assert_eq!(actions, [("replay", Some(job))]);
}
