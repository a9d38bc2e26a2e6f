//! A consumer without a database sends failed messages to a dead-letter topic, and settles nothing before that.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::{
    Backoff, Consumer, ConsumerBuilder, Envelope, Error, ErrorKind, HandlerError, Message, NoStore,
    OnFailure, headers,
};
use messagekit_memory::{MemoryLog, MemorySource};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fixture::{CONSUMER, Placed, TOPIC, World, names, pass, placed, seconds, start, until};

const DEAD: &str = "billing.dead";

/// The broker's response to a failed message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Takes,
    IsAway,
    Refuses,
    /// Responds without a result for the failed message.
    Mumbles,
    /// Does not respond until its mood changes.
    IsSilent,
}

/// The broker of the dead-letter topic.
#[derive(Clone)]
struct Broker {
    log: MemoryLog,
    mood: watch::Sender<Mood>,
    calls: Arc<Mutex<usize>>,
}

impl Broker {
    fn new(mood: Mood) -> Self {
        Self { log: MemoryLog::new(1), mood: watch::Sender::new(mood), calls: Arc::default() }
    }

    fn calls(&self) -> usize {
        *self.calls.lock().expect("a count")
    }

    fn failed_messages(&self) -> Vec<Message> {
        self.log.records(DEAD).into_iter().map(|record| record.message).collect()
    }
}

impl Publisher for Broker {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            *self.calls.lock().expect("a count") += 1;
            let mut mood = self.mood.subscribe();
            let mood = *mood.wait_for(|mood| *mood != Mood::IsSilent).await.expect("the broker stays");
            let refused = |refusal, kind| {
                let error = || Error::new(kind, "the broker says no");
                batch.iter().map(|_| Err(PublishError { refusal, error: error() })).collect()
            };
            match mood {
                Mood::IsAway => refused(PublishErrorKind::Unavailable, ErrorKind::Unavailable),
                Mood::Mumbles => Vec::new(),
                Mood::Refuses => refused(PublishErrorKind::Rejected, ErrorKind::TooLarge),
                Mood::Takes | Mood::IsSilent => self.log.publish(batch).await,
            }
        })
    }

    fn max_bytes(&self) -> usize {
        self.log.max_bytes()
    }
}

type Plan = VecDeque<fn() -> HandlerError>;

/// The handler's planned and past runs.
#[derive(Default)]
struct Printer {
    plans: Mutex<BTreeMap<i64, Plan>>,
    runs: Mutex<Vec<(i64, u32, Instant)>>,
    printed: Mutex<Vec<String>>,
}

impl Printer {
    fn fails(&self, n: i64, times: usize, how: fn() -> HandlerError) {
        self.plans.lock().expect("plans").insert(n, std::iter::repeat_n(how, times).collect());
    }

    fn printed(&self) -> Vec<String> {
        self.printed.lock().expect("pages").clone()
    }

    fn runs_of(&self, n: i64) -> Vec<u32> {
        let runs = self.runs.lock().expect("runs");
        runs.iter().filter(|(of, ..)| *of == n).map(|(_, attempt, _)| *attempt).collect()
    }
}

async fn print(printer: &Printer, _: &mut (), event: Envelope<Placed>) -> Result<(), HandlerError> {
    let n = event.data.n;
    let attempt = event.delivery().map_or(0, |delivery| delivery.attempt);
    printer.runs.lock().expect("runs").push((n, attempt, Instant::now()));
    if let Some(how) = printer.plans.lock().expect("plans").get_mut(&n).and_then(VecDeque::pop_front) {
        return Err(how());
    }
    printer.printed.lock().expect("pages").push(event.event_id.to_string());
    Ok(())
}

fn passing() -> HandlerError {
    HandlerError::retryable("out of paper")
}

fn lasting() -> HandlerError {
    HandlerError::permanent("no such printer")
}

fn offline() -> HandlerError {
    HandlerError::unavailable("printer is offline")
}

fn printing(
    world: &World,
    broker: &Broker,
    printer: &Arc<Printer>,
) -> ConsumerBuilder<NoStore<Broker>, MemorySource> {
    Consumer::builder(CONSUMER, NoStore::new(broker.clone(), DEAD))
        .from(world.topics())
        .attempts(NonZeroU32::new(4).expect("4 > 0"))
        .backoff(Backoff::fixed(seconds(1)))
        .on_with(Arc::clone(printer), print)
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_settled_only_after_its_confirm() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::IsSilent), Arc::new(Printer::default()));
    printer.fails(1, 1, lasting);
    world.push_all("a", 2).await;
    let consumer = start(printing(&world, &broker, &printer));
    until(|| broker.calls() == 1).await;
    pass(seconds(600)).await;
    assert_eq!((world.committed(0), broker.failed_messages().len(), printer.printed().len()), (0, 0, 0));

    broker.mood.send_replace(Mood::Takes);
    until(|| world.committed(0) == 2).await;
    let failed_messages = broker.failed_messages();
    assert_eq!((failed_messages.len(), broker.calls()), (1, 1));
    assert_eq!(printer.printed(), ["a-2"]);
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_the_message_whole_with_reason_and_origin() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::Takes), Arc::new(Printer::default()));
    printer.fails(2, 1, lasting);
    world.push("a", 1).await;
    let failing = placed("a", 2);
    world.publish(failing.clone()).await;
    let unreadable = Message::new(TOPIC, "no json").with_key("k").with_header("tenant", "north");
    world.publish(unreadable.clone()).await;
    let consumer = start(printing(&world, &broker, &printer));
    until(|| world.committed(0) == 3).await;
    consumer.stop().await;

    for (failed_message, sent, said) in std::iter::zip(broker.failed_messages(), [failing, unreadable])
        .zip([("permanent", "no such printer", "1"), ("undecodable", "payload is not a JSON object", "2")])
        .map(|((failed_message, sent), said)| (failed_message, sent, said))
    {
        assert_eq!((&failed_message.key, &failed_message.payload), (&sent.key, &sent.payload));
        for (name, value) in sent.headers.iter() {
            assert_eq!(failed_message.headers.get(name), Some(value), "{name}");
        }
        for (name, value) in [
            (headers::DEAD_KIND, said.0),
            (headers::DEAD_ERROR, said.1),
            (headers::DEAD_BY, CONSUMER),
            (headers::RETRY_TOPIC, TOPIC),
            (headers::SOURCE_TOPIC, TOPIC),
            (headers::SOURCE_PARTITION, "0"),
            (headers::SOURCE_OFFSET, said.2),
        ] {
            assert_eq!(failed_message.headers.text(name), Some(value), "{name}");
        }
    }
    assert_eq!(broker.failed_messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unavailable_or_refusing_broker_loses_and_settles_nothing() {
    for mood in [Mood::IsAway, Mood::Refuses, Mood::Mumbles] {
        let (world, broker, printer) = (World::new(1), Broker::new(mood), Arc::new(Printer::default()));
        printer.fails(2, 1_000_000, lasting);
        world.push_all("a", 3).await;
        let consumer = start(printing(&world, &broker, &printer));
        pass(seconds(300)).await;
        assert_eq!((world.committed(0), consumer.read().dead), (1, 0), "{mood:?}");
        assert_eq!(printer.printed(), ["a-1"], "what stands behind it waits");
        assert!((30..200).contains(&broker.calls()), "it is tried again all the time: {}", broker.calls());
        assert_eq!(
            printer.runs_of(2),
            [1],
            "{mood:?}: its failed message waits, and it does not run again for that"
        );

        broker.mood.send_replace(Mood::Takes);
        until(|| world.committed(0) == 3).await;
        assert_eq!((broker.failed_messages().len(), printer.printed().len()), (1, 2), "{mood:?}");
        assert_eq!(consumer.stop().await.dead, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_tried_again_in_place_and_in_order() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::Takes), Arc::new(Printer::default()));
    printer.fails(2, 3, passing);
    world.push_all("a", 4).await;
    let consumer = start(printing(&world, &broker, &printer));
    until(|| world.committed(0) == 4).await;
    assert_eq!(printer.printed(), names("a", 4));
    assert_eq!(printer.runs_of(2), [1, 2, 3, 4]);
    let at: Vec<Instant> = printer.runs.lock().expect("runs").iter().map(|(.., at)| *at).collect();
    assert!(at[2] - at[1] >= Duration::from_millis(500), "the backoff lies between: {at:?}");
    let stats = consumer.stop().await;
    assert_eq!((stats.handled, stats.dead, stats.set_aside, broker.calls()), (4, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_dependency_is_unavailable_waits_in_its_lane() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::Takes), Arc::new(Printer::default()));
    printer.fails(2, 1_000_000, offline);
    world.push_all("a", 3).await;
    let consumer = start(printing(&world, &broker, &printer));
    pass(seconds(3_600)).await;
    assert_eq!(
        (world.committed(0), broker.calls()),
        (1, 0),
        "no failed message could bring it back by itself"
    );
    assert!(printer.runs_of(2).iter().all(|attempt| *attempt == 1));
    printer.fails(2, 0, offline);
    until(|| world.committed(0) == 3).await;
    assert_eq!(printer.printed(), names("a", 3));
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_a_message_fails_after_its_last_attempt() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::Takes), Arc::new(Printer::default()));
    printer.fails(2, 1_000_000, passing);
    world.push_all("a", 3).await;
    let consumer = start(printing(&world, &broker, &printer));
    until(|| world.committed(0) == 3).await;
    pass(seconds(600)).await;
    assert_eq!(printer.printed(), ["a-1", "a-3"]);
    assert_eq!(printer.runs_of(2), [1, 2, 3, 4]);
    let failed_messages = broker.failed_messages();
    assert_eq!(failed_messages.len(), 1);
    assert_eq!(failed_messages[0].headers.text(headers::DEAD_KIND), Some("failed"));
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_blocks_publishes_no_failed_message() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::Takes), Arc::new(Printer::default()));
    printer.fails(2, 20, lasting);
    world.push_all("a", 3).await;
    let consumer = start(printing(&world, &broker, &printer).on_failure(OnFailure::Block));
    until(|| world.committed(0) == 3).await;
    assert_eq!((printer.printed(), broker.calls()), (names("a", 3), 0));
    assert_eq!(printer.runs_of(2).len(), 21);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stop_during_a_broker_outage_leaves_the_message_unsettled() {
    let (world, broker, printer) = (World::new(1), Broker::new(Mood::IsAway), Arc::new(Printer::default()));
    printer.fails(1, 1_000_000, lasting);
    world.push_all("a", 1).await;
    let consumer = start(printing(&world, &broker, &printer));
    until(|| broker.calls() > 3).await;
    consumer.stop().await;
    assert_eq!(world.committed(0), 0);

    broker.mood.send_replace(Mood::Takes);
    let consumer = start(printing(&world, &broker, &printer));
    until(|| world.committed(0) == 1).await;
    consumer.stop().await;
    assert_eq!(broker.failed_messages().len(), 1);
}
