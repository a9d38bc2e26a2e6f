//! A subscriber behind a registry over one that delivers what a test says: also after a pause and after a revocation, as the
//! adapter for Kafka does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use messagekit::adapter::{
    Capabilities, Delivery, Done, Incoming, IntoSource, Lane, NextOffset, Receipt, Source, Subscriber,
};
use messagekit::{Error, ErrorKind, Message};
use messagekit_memory::MemoryLog;
use messagekit_schema_registry::{SchemaFormat, SchemaId, SchemaRegistry, SchemaSubscriber, Schemas};

use crate::events::document;
use crate::slow_registry::SlowRegistry;

const LANE: Lane = Lane { slot: 3, epoch: 7 };
const OTHER: Lane = Lane { slot: 4, epoch: 7 };
const NONE: [u64; 0] = [];

/// What the source yields next, and what was called on it.
#[derive(Default)]
struct Script {
    next: VecDeque<Result<Incoming, Error>>,
    calls: Vec<String>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn yields(&self, incoming: impl IntoIterator<Item = Incoming>) {
        self.0.lock().unwrap().next.extend(incoming.into_iter().map(Ok));
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    fn called(&self, call: &str, receipts: &mut Vec<Receipt>) {
        let positions: Vec<String> =
            receipts.drain(..).map(|receipt| receipt.position().to_string()).collect();
        self.0.lock().unwrap().calls.push(format!("{call} {}", positions.join(" ")));
    }
}

impl Source for Scripted {
    type Subscriber = Self;

    fn capabilities(&self) -> Capabilities {
        MemoryLog::new(1).topics(["orders"]).capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        &[]
    }

    async fn bind(self, _: &str, _: &[NextOffset]) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Subscriber for Scripted {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        self.0.lock().unwrap().next.pop_front().map_or(Poll::Pending, |next| Poll::Ready(Some(next)))
    }

    fn pause(&mut self, lane: Lane) {
        self.0.lock().unwrap().calls.push(format!("pause {}", lane.slot));
    }

    fn resume(&mut self, lane: Lane) {
        self.0.lock().unwrap().calls.push(format!("resume {}", lane.slot));
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.called("settle", done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.called("release", back);
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

/// A subscriber over a script, and a registry with one schema that was not looked up yet.
struct World {
    script: Scripted,
    registry: SlowRegistry,
    id: SchemaId,
    subscriber: SchemaSubscriber<Scripted>,
}

impl World {
    async fn new() -> Self {
        let (script, registry) = (Scripted::default(), SlowRegistry::default());
        let schema = document(SchemaFormat::Json, r#"{"type": "object"}"#);
        let id = registry.register("orders-value", &schema).await.unwrap();
        registry.fail(usize::MAX, ErrorKind::Unavailable);
        let source = Schemas::new(registry.clone()).source(script.clone()).into_source(Vec::new());
        let subscriber = source.bind("billing", &[]).await.unwrap();
        Self { script, registry, id, subscriber }
    }

    fn framed(&self, lane: Lane, position: u64) -> Incoming {
        framed(self.id, lane, position)
    }

    /// Yields forty messages of a lane, each of another schema.
    fn flood(&self) {
        self.script.yields((1..=40).map(|id| framed(SchemaId(100 + id), LANE, id.into())));
    }

    /// Returns the positions of the messages that come without waiting.
    fn ready(&mut self) -> Vec<u64> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut positions = Vec::new();
        loop {
            match self.subscriber.poll_next(&mut cx) {
                Poll::Ready(Some(Ok(Incoming::Message(delivery)))) => {
                    positions.push(delivery.receipt.position());
                }
                Poll::Ready(Some(Err(error))) => assert!(error.is_transient(), "{error}"),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None) | Poll::Pending => return positions,
            }
        }
    }

    /// Lets the registry answer, and returns the positions of what comes then.
    async fn answered(&mut self) -> Vec<u64> {
        self.registry.fail(0, ErrorKind::Unavailable);
        let mut positions = Vec::new();
        // The clock is that of the test.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            positions.extend(self.ready());
        }
        positions
    }
}

fn message(lane: Lane, position: u64, payload: Vec<u8>) -> Incoming {
    let message = Message::new("orders", payload);
    Incoming::Message(Delivery { message, position: None, receipt: Receipt::new(lane, position) })
}

fn framed(id: SchemaId, lane: Lane, position: u64) -> Incoming {
    message(lane, position, [&[0], &id.0.to_be_bytes()[..], b"{}"].concat())
}

fn plain(lane: Lane, position: u64) -> Incoming {
    message(lane, position, b"{}".to_vec())
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_held_message_waits_behind_it() {
    let mut world = World::new().await;
    let first = world.framed(LANE, 1);
    world.script.yields([first, plain(LANE, 2), plain(OTHER, 3), plain(LANE, 4)]);
    assert_eq!(world.ready(), [3]);
    assert_eq!(world.script.calls(), ["pause 3"]);
    assert_eq!(world.answered().await, [1, 2, 4]);
    assert_eq!(world.script.calls(), ["resume 3"]);
}

#[tokio::test(start_paused = true)]
async fn schemas_of_one_lane_are_looked_up_at_once() {
    let mut world = World::new().await;
    world.flood();
    assert_eq!(world.ready(), NONE);
    assert_eq!(world.registry.calls(), 16);
    let expected: Vec<u64> = (1..=40).collect();
    assert_eq!(world.answered().await, expected);
}

#[tokio::test(start_paused = true)]
async fn many_searches_of_one_lane_leave_others_theirs() {
    let mut world = World::new().await;
    world.flood();
    assert_eq!(world.ready(), NONE);
    let other = world.framed(OTHER, 50);
    world.script.yields([other]);
    assert_eq!(world.ready(), NONE);
    assert_eq!(world.registry.calls(), 17);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.ready();
    assert_eq!(world.subscriber.held_lanes(), [LANE, OTHER]);
    let mut positions = world.answered().await;
    positions.retain(|position| *position == 50);
    assert_eq!(positions, [50]);
    assert!(world.subscriber.held_lanes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_released_message_comes_before_those_that_are_held() {
    let mut world = World::new().await;
    let (held, other) = (world.framed(LANE, 2), world.framed(OTHER, 4));
    world.script.yields([plain(LANE, 1), held, plain(LANE, 3), other]);
    assert_eq!(world.ready(), [1]);
    world.script.calls();
    world.subscriber.release(&mut vec![Receipt::new(LANE, 1)]);
    assert_eq!(world.script.calls(), ["resume 3", "release 1 2 3"]);
    assert_eq!(world.answered().await, [4], "the source delivers the others again");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_leaves_takes_its_held_messages_along() {
    let mut world = World::new().await;
    let (held, late, other) = (world.framed(LANE, 1), world.framed(LANE, 3), world.framed(OTHER, 4));
    let revoking = Incoming::Revoking { lane: LANE, done: Done::new(|| {}) };
    world.script.yields([held, plain(LANE, 2), revoking]);
    assert_eq!(world.ready(), NONE);
    assert_eq!(world.script.calls(), ["pause 3", "release 1 2"]);
    world.subscriber.pause(LANE);
    world.script.yields([late, other]);
    assert_eq!(world.ready(), NONE);
    assert_eq!(world.script.calls(), ["pause 3", "release 3", "pause 4"]);

    let again = Lane { epoch: 8, ..LANE };
    world.script.yields([Incoming::Assigned { lane: again, name: Arc::from("orders/3") }, plain(again, 1)]);
    assert_eq!(world.ready(), [1]);
    assert_eq!(world.answered().await, [4]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_lane_is_read_when_it_is_resumed() {
    let mut world = World::new().await;
    world.subscriber.pause(LANE);
    let framed = world.framed(LANE, 2);
    world.script.yields([plain(LANE, 1), framed]);
    assert_eq!(world.ready(), NONE);
    assert_eq!(world.answered().await, NONE);
    world.subscriber.resume(LANE);
    assert_eq!(world.answered().await, [1, 2]);
    assert_eq!(world.script.calls(), ["pause 3", "resume 3"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end_of_the_source() {
    let mut world = World::new().await;
    let framed = world.framed(LANE, 1);
    world.script.yields([framed]);
    world.script.0.lock().unwrap().next.push_back(Err(Error::new(ErrorKind::Closed, "ends in a test")));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Err(error))) = world.subscriber.poll_next(&mut cx) else { panic!("it ends") };
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(world.answered().await, NONE);
    assert!(matches!(world.subscriber.poll_next(&mut cx), Poll::Ready(None)));
}
