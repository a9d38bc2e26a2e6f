//! Replays of stored events.

use std::time::Duration;

use messagekit::adapter::{Markers, OutboxRows};
use messagekit::operations::{
    Action, ConsumerEvents, EventFilter, EventHead, FailedMessages, Operator, ReplayIds, ReplayJob,
    ReplayLease, ReplayOrder, ReplayState, Replays, StoredEvent,
};
use messagekit::{Error, ErrorKind, Message, MessageId, headers};

use super::cleanup::{cleaned, handled, note};
use super::fixture::{begin, claim_now, commit, somebody};
use super::{Audited, OperatorsFixture, received};
use crate::{DEADLINE, eventually, unique};

const LONG: Duration = Duration::from_secs(3_600);

fn order(filter: EventFilter) -> ReplayOrder {
    ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None }
}

fn of_topic(topic: &str) -> EventFilter {
    EventFilter { topic: Some(topic.to_owned()), ..EventFilter::default() }
}

fn renamed(event: &StoredEvent) -> Result<(MessageId, Message), Error> {
    let id = MessageId::from_stored(&format!("{}-again", event.event_id.as_str()));
    let mut message = event.message.clone();
    message.headers.set(headers::ID, id.as_str().to_owned());
    Ok((id, message))
}

fn not_asked(_: &StoredEvent) -> Result<(MessageId, Message), Error> {
    panic!("nobody asked for new ids")
}

/// Writes events, each in its own transaction at a distinct time. Their ids ascend.
async fn write<F: OperatorsFixture>(fixture: &F, topic: &str, texts: &[&str]) -> Vec<Message> {
    let store = fixture.store();
    let mut written = Vec::new();
    for text in texts {
        // The clock of the database has to advance between two events.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let message = Message::new(topic, (*text).to_owned())
            .with_key("k")
            .with_header(headers::ID, format!("{topic}-{text}"))
            .with_header(headers::EVENT_TYPE, "orders.order.placed");
        let mut tx = begin(&store).await;
        store.write(&mut tx, std::slice::from_ref(&message)).await.expect("the event can be written");
        commit(&store, tx).await;
        written.push(message);
    }
    store.wake();
    written
}

/// Returns the texts of a topic's events as a reader sees them, once `events` of them exist.
async fn published<F: OperatorsFixture>(fixture: &F, topic: &str, events: usize) -> Vec<String> {
    eventually("the events can be read", DEADLINE, async || fixture.events(topic).await.len() >= events)
        .await;
    let texts = |event: &Message| String::from_utf8_lossy(&event.payload).into_owned();
    fixture.events(topic).await.iter().map(texts).collect()
}

async fn listed<S: Replays>(store: &S, filter: &EventFilter) -> Vec<String> {
    let events = store.events(filter, None, 100).await.expect("events are listed");
    events.iter().map(text).collect()
}

/// Returns the text of an event that [`write`] wrote: its id ends with it.
fn text(event: &EventHead) -> String {
    event.event_id.as_str().rsplit('-').next().unwrap_or_default().to_owned()
}

async fn ordered<S: Replays>(store: &S, order: &ReplayOrder) -> ReplayJob {
    store.order_replay(order, &somebody()).await.expect("a replay can be ordered")
}

async fn leased<S: Replays>(store: &S) -> ReplayLease {
    store.lease_replay(LONG).await.expect("leases are answered").expect("a replay runs").0
}

async fn step<S: Replays>(store: &S, lease: ReplayLease, max: u32) -> Option<ReplayJob> {
    store.replay_step(lease, max, LONG, &not_asked).await.expect("a step is answered")
}

/// The oldest is listed first. Type, topic, key and time filter the list; the time bounds are inclusive.
pub async fn events_are_listed_oldest_first_and_filtered<F: OperatorsFixture>(fixture: &F) {
    let (store, topic, other) = (fixture.store(), unique("topic"), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    write(fixture, &other, &["3"]).await;
    let mut tx = begin(&store).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let paid = Message::new(topic.as_str(), "4")
        .with_key("other")
        .with_header(headers::ID, format!("{topic}-4"))
        .with_header(headers::EVENT_TYPE, "orders.order.paid");
    store.write(&mut tx, &[paid]).await.expect("the event can be written");
    commit(&store, tx).await;

    let all = EventFilter::default();
    let events = store.events(&all, None, 100).await.expect("events are listed");
    assert_eq!(listed(&store, &all).await, ["1", "2", "3", "4"]);
    assert_eq!(events[0].event_id.as_str(), format!("{topic}-1"));
    assert_eq!((events[0].copies, &*events[0].topic), (0, topic.as_str()));
    assert_eq!(events[0].key.as_deref(), Some(&b"k"[..]));
    assert_eq!((events[0].event_type.as_deref(), events[0].payload_bytes), (Some("orders.order.placed"), 1));
    assert_eq!(
        store.events(&all, None, 2).await.expect("events are listed"),
        events[..2],
        "at most the limit"
    );
    assert_eq!(listed(&store, &of_topic(&other)).await, ["3"]);
    let typed = EventFilter { event_type: Some("orders.order.paid".to_owned()), ..all.clone() };
    assert_eq!(listed(&store, &typed).await, ["4"]);
    let keyed = EventFilter { key: Some("k".to_owned()), ..of_topic(&topic) };
    assert_eq!(listed(&store, &keyed).await, ["1", "2"]);
    let (from, to) = (Some(events[1].created_at), Some(events[2].created_at));
    assert_eq!(listed(&store, &EventFilter { from, to, ..all.clone() }).await, ["2", "3"]);
    assert_eq!(listed(&store, &EventFilter { from, ..all.clone() }).await, ["2", "3", "4"]);
    assert_eq!(listed(&store, &EventFilter { to, ..all }).await, ["1", "2", "3"]);
}

/// The end of a page is the cursor of the next page.
pub async fn pages_of_events_join_without_a_gap<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let texts = ["1", "2", "3", "4", "5", "6", "7"];
    write(fixture, &topic, &texts).await;
    let (filter, mut after, mut paged) = (of_topic(&topic), None, Vec::new());
    loop {
        let page = store.events(&filter, after.as_ref(), 3).await.expect("events are listed");
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        paged.extend(page.iter().map(text));
        assert!(paged.len() <= texts.len(), "pages repeat events: {paged:?}");
    }
    assert_eq!(paged, texts);
}

/// A count returns how many events would be published and which consumers would skip them. It publishes nothing.
pub async fn count_tells_what_would_be_published<F: OperatorsFixture>(fixture: &F) {
    let (store, topic, other, consumer) =
        (fixture.store(), unique("topic"), unique("topic"), unique("consumer"));
    let written = write(fixture, &topic, &["1", "2", "3"]).await;
    write(fixture, &other, &["4"]).await;
    for message in &written[..2] {
        let mut handled = received(&topic, "");
        handled.id = MessageId::from_stored(message.headers.text(headers::ID).expect("it has an id"));
        claim_now(&store, &consumer, &handled).await;
    }
    claim_now(&store, &unique("idle"), &received(&topic, "")).await;
    let count = store.replay_count(&of_topic(&topic)).await.expect("counts are answered");
    assert_eq!((count.events, count.skipped_by), (3, vec![ConsumerEvents { consumer, events: 2 }]));
    let none = store.replay_count(&of_topic(&unique("topic"))).await.expect("counts are answered");
    assert_eq!((none.events, none.skipped_by), (0, Vec::new()));
    assert_eq!(store.replays(None, 10).await.expect("replays are listed"), []);
    assert_eq!(published(fixture, &topic, 3).await.len(), 3);
}

/// The count names the consumers that would refuse events because of their age, by the longest dedup window of each.
pub async fn count_tells_what_is_too_old<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let [short, long, both, any] = ["short", "long", "both", "any"].map(unique);
    let moment = Duration::from_secs(1);
    for (consumer, windows) in [
        (&short, vec![Some(moment)]),
        (&long, vec![Some(LONG)]),
        (&both, vec![Some(LONG), Some(moment)]),
        (&any, vec![None]),
    ] {
        for window in windows {
            store.note_window(consumer, window).await.expect("windows are noted");
        }
    }
    write(fixture, &topic, &["1", "2"]).await;
    eventually("both are older than the shortest window", DEADLINE, async || {
        let count = store.replay_count(&of_topic(&topic)).await.expect("counts are answered");
        assert_eq!(count.events, 2);
        match &count.too_old_for[..] {
            [] | [ConsumerEvents { events: 1, .. }] => false,
            old => {
                assert_eq!(old, [ConsumerEvents { consumer: short.clone(), events: 2 }]);
                true
            }
        }
    })
    .await;
    let none = store.replay_count(&of_topic(&unique("topic"))).await.expect("counts are answered");
    assert_eq!(none.too_old_for, []);
}

/// The count names the consumers that would refuse events because markers of that time were removed, whatever their
/// window is now.
pub async fn count_tells_what_no_marker_remembers<F: OperatorsFixture>(fixture: &F) {
    let (store, topic, consumer) = (fixture.store(), unique("topic"), unique("consumer"));
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    note(fixture, &consumer, Some(week)).await;
    write(fixture, &topic, &["1"]).await;
    handled(fixture, &consumer, Duration::ZERO).await;
    fixture.age(&consumer, &topic, week * 3 / 2).await;
    write(fixture, &topic, &["2"]).await;
    assert_eq!(cleaned(fixture, false).await, 1);
    for longer in [Some(week * 2), None] {
        note(fixture, &consumer, longer).await;
        let count = store.replay_count(&of_topic(&topic)).await.expect("counts are answered");
        assert_eq!(
            (count.events, count.too_old_for),
            (2, vec![ConsumerEvents { consumer: consumer.clone(), events: 1 }]),
            "{longer:?}"
        );
    }
}

/// An event that is written after the order is not part of the replay.
pub async fn replay_publishes_what_was_chosen_when_it_was_ordered<F: OperatorsFixture>(fixture: &F) {
    let (store, topic, other) = (fixture.store(), unique("topic"), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    write(fixture, &other, &["not meant"]).await;
    let job = ordered(&store, &order(of_topic(&topic))).await;
    assert_eq!((job.state, job.events, job.published), (ReplayState::Running, 2, 0));
    assert_eq!((job.ordered_by.as_str(), &job.order), ("somebody", &order(of_topic(&topic))));
    assert_eq!(published(fixture, &topic, 2).await.len(), 2, "an order publishes nothing");
    write(fixture, &topic, &["3"]).await;
    let done = step(&store, leased(&store).await, 100).await.expect("the lease holds");
    assert_eq!((done.state, done.events, done.published), (ReplayState::Done, 2, 2));
    assert_eq!(published(fixture, &topic, 5).await, ["1", "2", "3", "1", "2"]);
    assert_eq!(published(fixture, &other, 1).await.len(), 1);
}

/// Each step publishes at most `max` events and reports its progress. The last step ends the replay.
pub async fn replay_goes_step_by_step<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2", "3", "4", "5"]).await;
    let ReplayJob { id, .. } = ordered(&store, &order(of_topic(&topic))).await;
    let lease = leased(&store).await;
    assert_eq!(lease.job, id);
    let mut seen = Vec::new();
    for expected in [2, 4, 5] {
        let job = step(&store, lease, 2).await.expect("the lease holds");
        assert_eq!(store.replay(id).await.expect("the replay is there"), job);
        assert_eq!(published(fixture, &topic, 5 + expected).await.len(), 5 + expected);
        seen.push((job.published, job.state));
    }
    let expected = [(2, ReplayState::Running), (4, ReplayState::Running), (5, ReplayState::Done)];
    assert_eq!(seen, expected);
    assert_eq!(step(&store, lease, 2).await, None, "it runs no more");
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
    assert_eq!(published(fixture, &topic, 10).await, ["1", "2", "3", "4", "5", "1", "2", "3", "4", "5"]);
}

/// Two workers do not lease one replay. The oldest replay is leased first.
pub async fn replay_is_leased_to_one_worker<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1"]).await;
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None, "nothing was ordered");
    let first = ordered(&store, &order(of_topic(&topic))).await;
    let second = ordered(&store, &order(of_topic(&topic))).await;
    let jobs = [leased(&store).await.job, leased(&store).await.job];
    assert_eq!(jobs, [first.id, second.id]);
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
}

/// A worker whose lease has expired publishes nothing more. The next worker continues where it stopped.
pub async fn later_lease_fences_the_earlier<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2", "3"]).await;
    ordered(&store, &order(of_topic(&topic))).await;
    let short = Duration::from_millis(200);
    let (first, _) = store.lease_replay(short).await.expect("leases are answered").expect("a replay runs");
    let stepped = store.replay_step(first, 1, short, &not_asked).await.expect("a step is answered");
    assert_eq!(stepped.expect("the lease holds").published, 1);
    let mut second = None;
    let over = async || {
        second = store.lease_replay(LONG).await.expect("leases are answered");
        second.is_some()
    };
    eventually("the lease ends", DEADLINE, over).await;
    let (second, job) = second.expect("it was just leased");
    assert_eq!((second.job, job.published), (first.job, 1));
    assert_eq!(step(&store, first, 10).await, None, "it is fenced");
    let done = step(&store, second, 10).await.expect("the lease holds");
    assert_eq!((done.state, done.published), (ReplayState::Done, 3));
    assert_eq!(published(fixture, &topic, 6).await, ["1", "2", "3", "1", "2", "3"]);
}

/// A cancel takes effect at the next step. A second cancel reports that no replay runs.
pub async fn cancelled_replay_publishes_no_more<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2", "3"]).await;
    let job = ordered(&store, &order(of_topic(&topic))).await;
    let lease = leased(&store).await;
    step(&store, lease, 1).await.expect("the lease holds");
    store.cancel_replay(job.id, &somebody()).await.expect("it can be stopped");
    assert_eq!(step(&store, lease, 10).await, None);
    let stopped = store.replay(job.id).await.expect("the replay is there");
    assert_eq!((stopped.state, stopped.events, stopped.published), (ReplayState::Cancelled, 3, 1));
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
    let again = store.cancel_replay(job.id, &somebody()).await.expect_err("it does not run");
    assert_eq!(again.kind(), ErrorKind::WrongState);
    assert_eq!(published(fixture, &topic, 4).await.len(), 4);
}

/// A republication equals its event for every reader: id, type, key, free headers and every byte.
pub async fn replay_under_the_same_ids_repeats_the_bytes<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let mut event = Message::new(topic.as_str(), vec![0xff, 0x00, b'{'])
        .with_key("k")
        .with_header(headers::ID, unique("e"))
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header(headers::CONTENT_TYPE, "application/octet-stream");
    event.headers.set_free(&std::collections::BTreeMap::from([("tenant".to_owned(), "north".to_owned())]));
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[event]).await.expect("the event can be written");
    commit(&store, tx).await;
    ordered(&store, &order(of_topic(&topic))).await;
    step(&store, leased(&store).await, 10).await.expect("the lease holds");
    published(fixture, &topic, 2).await;
    let events = fixture.events(&topic).await;
    let [original, copy] = &events[..] else { panic!("one event and one copy, not {}", events.len()) };
    assert_eq!((&copy.key, &copy.payload), (&original.key, &original.payload));
    for name in [headers::ID, headers::EVENT_TYPE, headers::CONTENT_TYPE, headers::FREE_HEADERS] {
        assert_eq!(copy.headers.get(name), original.headers.get(name), "header {name}");
    }
}

/// A republished event is listed once, with the number of its republications.
pub async fn copies_are_not_listed<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    for round in 1..=2 {
        let job = ordered(&store, &order(of_topic(&topic))).await;
        assert_eq!(job.events, 2, "copies are not chosen");
        step(&store, leased(&store).await, 10).await.expect("the lease holds");
        let events = store.events(&of_topic(&topic), None, 10).await.expect("events are listed");
        assert_eq!(events.iter().map(|event| event.copies).collect::<Vec<_>>(), [round, round]);
        let count = store.replay_count(&of_topic(&topic)).await.expect("counts are answered");
        assert_eq!(count.events, 2);
    }
}

/// Under new ids an event is published as a different event, with the id that was made for it.
pub async fn replay_under_new_ids_makes_events_of_their_own<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    ordered(&store, &ReplayOrder { ids: ReplayIds::New, ..order(of_topic(&topic)) }).await;
    let lease = leased(&store).await;
    let job = store.replay_step(lease, 10, LONG, &renamed).await.expect("a step is answered");
    assert_eq!(job.map(|job| (job.state, job.published)), Some((ReplayState::Done, 2)));
    assert_eq!(published(fixture, &topic, 4).await, ["1", "2", "1", "2"]);
    let events = fixture.events(&topic).await;
    let ids: Vec<_> = events.iter().map(|event| event.headers.text(headers::ID).unwrap_or("none")).collect();
    assert_eq!(ids, ["1", "2", "1-again", "2-again"].map(|end| format!("{topic}-{end}")));
    let copies: Vec<_> = store
        .events(&of_topic(&topic), None, 10)
        .await
        .expect("events are listed")
        .iter()
        .map(|event| event.copies)
        .collect();
    assert_eq!(copies, [0, 0, 0, 0]);
}

/// A republication that cannot be built fails the replay with its reason, and nothing of the step is published.
pub async fn failed_renaming_fails_the_replay<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    let job = ordered(&store, &ReplayOrder { ids: ReplayIds::New, ..order(of_topic(&topic)) }).await;
    let refused = |event: &StoredEvent| match event.message.payload.as_ref() {
        b"2" => Err(Error::new(ErrorKind::Undecodable, "payload is not JSON")),
        _ => renamed(event),
    };
    let lease = leased(&store).await;
    let answer = store.replay_step(lease, 10, LONG, &refused).await.expect("a step is answered");
    let failed = answer.expect("the lease held");
    assert_eq!((failed.state, failed.published), (ReplayState::Failed, 0));
    assert!(failed.error.as_deref().is_some_and(|error| error.contains("payload is not JSON")), "{failed:?}");
    assert_eq!(store.replay(job.id).await.expect("the replay is there"), failed);
    assert_eq!(published(fixture, &topic, 2).await, ["1", "2"]);
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
}

/// A range that begins before the oldest stored event is refused: its events are incomplete.
pub async fn range_before_the_oldest_event_is_refused<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    let oldest = store.events(&of_topic(&topic), None, 1).await.expect("events are listed")[0].created_at;
    let from = |from| EventFilter { from: Some(from), ..of_topic(&topic) };
    let count = store.replay_count(&from(oldest)).await.expect("counts are answered");
    assert_eq!(count.events, 2);
    let early = from(oldest - Duration::from_secs(1));
    let counted = store.replay_count(&early).await.expect_err("nobody knows what was there");
    let refused = store.order_replay(&order(early), &somebody()).await.expect_err("nor can it be published");
    for error in [counted, refused] {
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        assert_eq!(error.context("oldest"), Some(oldest.to_string().as_str()), "{error:?}");
    }
    assert_eq!(store.replays(None, 10).await.expect("replays are listed"), []);
    assert_eq!(fixture.audit().await, []);
}

/// A replay with another count than the confirmed one is refused: events were added or removed since the count.
pub async fn replay_of_another_count_is_refused<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1", "2"]).await;
    let confirmed = |count| ReplayOrder { count: Some(count), ..order(of_topic(&topic)) };
    for count in [0, 1, 3] {
        let refused = store.order_replay(&confirmed(count), &somebody()).await.expect_err("there are two");
        assert_eq!((refused.kind(), refused.context("count")), (ErrorKind::WrongState, Some("2")));
    }
    assert_eq!(store.replays(None, 10).await.expect("replays are listed"), []);
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
    let job = ordered(&store, &confirmed(2)).await;
    assert_eq!((job.state, job.events), (ReplayState::Running, 2));
}

/// A replay without events is done at once.
pub async fn replay_of_nothing_is_done_at_once<F: OperatorsFixture>(fixture: &F) {
    let store = fixture.store();
    let job = ordered(&store, &order(of_topic(&unique("topic")))).await;
    assert_eq!((job.state, job.events, job.published), (ReplayState::Done, 0, 0));
    assert_eq!(store.replay(job.id).await.expect("the replay is there"), job);
    assert_eq!(store.lease_replay(LONG).await.expect("leases are answered"), None);
}

/// The newest is listed first. The last number of a page is the cursor of the next page.
pub async fn replays_are_listed_newest_first<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1"]).await;
    let mut orders = Vec::new();
    for per_second in [None, Some(7)] {
        let from = store.events(&of_topic(&topic), None, 1).await.expect("events are listed")[0].created_at;
        let filter = EventFilter {
            event_type: Some("orders.order.placed".to_owned()),
            key: Some("k".to_owned()),
            from: Some(from),
            to: Some(from + Duration::from_secs(1)),
            ..of_topic(&topic)
        };
        orders.push(ReplayOrder { per_second, ids: ReplayIds::New, ..order(filter) });
    }
    let (first, second) = (ordered(&store, &orders[0]).await, ordered(&store, &orders[1]).await);
    assert_eq!((&first.order, &second.order), (&orders[0], &orders[1]));
    assert!(first.id < second.id);
    let page = async |before, limit| store.replays(before, limit).await.expect("replays are listed");
    assert_eq!(page(None, 10).await, [second.clone(), first.clone()]);
    assert_eq!(page(None, 1).await, std::slice::from_ref(&second));
    assert_eq!(page(Some(second.id), 10).await, [first]);
}

/// An unknown replay can neither be shown nor cancelled.
pub async fn unknown_replay_is_not_found<F: OperatorsFixture>(fixture: &F) {
    let store = fixture.store();
    assert_eq!(store.replay(i64::MAX).await.expect_err("there is none").kind(), ErrorKind::NotFound);
    let stopped = store.cancel_replay(i64::MAX, &somebody()).await;
    assert_eq!(stopped.expect_err("there is none").kind(), ErrorKind::NotFound);
}

/// Orders and cancels are in the audit with their operator, as are late cancels.
pub async fn orders_and_cancels_are_in_the_audit<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    write(fixture, &topic, &["1"]).await;
    let ada = Operator { request_id: Some("r-1".to_owned()), ..Operator::new("ada", "http") };
    let job = store.order_replay(&order(of_topic(&topic)), &ada).await.expect("a replay can be ordered");
    store.act(Action::Retry, &[i64::MAX], &somebody()).await.expect("acts are answered");
    store.cancel_replay(job.id, &Operator::new("bob", "cli")).await.expect("it can be stopped");
    let again = store.cancel_replay(job.id, &ada).await.expect_err("it does not run");
    assert_eq!(again.kind(), ErrorKind::WrongState);
    let rows: Vec<_> = fixture.audit().await;
    let told = |row: &Audited| {
        (row.by.clone(), row.action.clone(), row.ids.clone(), row.request_id.clone(), row.done)
    };
    let row = |by: &str, action: &str, id, request: Option<&str>, done| {
        (by.to_owned(), action.to_owned(), vec![id], request.map(str::to_owned), done)
    };
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        [
            row("ada", "replay", job.id, Some("r-1"), 1),
            row("somebody", "retry", i64::MAX, None, 0),
            row("bob", "cancel-replay", job.id, None, 1),
            row("ada", "cancel-replay", job.id, Some("r-1"), 0),
        ]
    );
}
