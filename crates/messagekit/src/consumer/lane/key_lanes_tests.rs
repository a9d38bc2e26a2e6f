//! Key lanes over a source whose events the test defines.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A source that yields queued events and records its calls.
#[derive(Default)]
struct ScriptedSubscriber {
    next: VecDeque<Incoming>,
    calls: Vec<(&'static str, Lane)>,
}

impl Subscriber for ScriptedSubscriber {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        self.next.pop_front().map_or(Poll::Pending, |next| Poll::Ready(Some(Ok(next))))
    }

    fn pause(&mut self, lane: Lane) {
        self.calls.push(("pause", lane));
    }

    fn resume(&mut self, lane: Lane) {
        self.calls.push(("resume", lane));
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.calls.extend(done.drain(..).map(|receipt| ("settle", receipt.lane())));
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.calls.extend(back.drain(..).map(|receipt| ("release", receipt.lane())));
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

const LANE: Lane = Lane { slot: 5, epoch: 7 };

fn of(incoming: impl IntoIterator<Item = Incoming>) -> KeyLanes<ScriptedSubscriber> {
    let subscriber =
        ScriptedSubscriber { next: incoming.into_iter().collect(), ..ScriptedSubscriber::default() };
    KeyLanes::new(subscriber, NonZeroU32::new(3).expect("3 > 0"))
}

fn assigned() -> Incoming {
    Incoming::Assigned { lane: LANE, name: Arc::from("orders/0") }
}

fn all(key_lanes: &mut KeyLanes<ScriptedSubscriber>) -> Vec<Incoming> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    std::iter::from_fn(|| match key_lanes.poll_next(&mut cx) {
        Poll::Ready(Some(Ok(incoming))) => Some(incoming),
        _ => None,
    })
    .collect()
}

fn lane(key_lane: u32) -> Lane {
    Lane { slot: 15 + key_lane, epoch: 7 }
}

fn message(key: &'static str, sequence: u64) -> Incoming {
    let message = Message::new("orders.order", "").with_key(key);
    Incoming::Message(Delivery { message, position: None, receipt: Receipt::new(LANE, sequence) })
}

#[test]
fn lane_changes_reach_each_key_lane_and_the_last_frees_the_lane() {
    static FREE: AtomicBool = AtomicBool::new(false);
    let done = Done::new(|| FREE.store(true, Ordering::Relaxed));
    let mut key_lanes =
        of([assigned(), Incoming::Revoking { lane: LANE, done }, Incoming::Lost { lane: LANE }]);
    let (mut changes, mut parts, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for incoming in all(&mut key_lanes) {
        changes.push(match incoming {
            Incoming::Assigned { lane, name } => {
                names.push(name);
                ("assigned", lane)
            }
            Incoming::Revoking { lane, done } => {
                parts.push(done);
                ("revoking", lane)
            }
            Incoming::Lost { lane } => ("lost", lane),
            Incoming::Message(_) => panic!("there is none"),
        });
    }
    let each = |what| (0..3).map(move |key_lane| (what, lane(key_lane)));
    let expected: Vec<_> = each("assigned").chain(each("revoking")).chain(each("lost")).collect();
    assert_eq!(changes, expected);
    assert_eq!(
        names.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["orders/0/0", "orders/0/1", "orders/0/2"]
    );
    for part in parts {
        assert!(!FREE.load(Ordering::Relaxed), "another one is at work");
        drop(part);
    }
    assert!(FREE.load(Ordering::Relaxed));
    key_lanes.pause(lane(0));
    assert_eq!(key_lanes.inner.calls, [], "a lost lane is not paused");
}

#[test]
fn a_lane_goes_on_when_none_of_its_key_lanes_is_paused() {
    let mut key_lanes = of([assigned()]);
    assert_eq!(all(&mut key_lanes).len(), 3);
    key_lanes.pause(lane(0));
    key_lanes.pause(lane(2));
    key_lanes.resume(lane(0));
    key_lanes.resume(lane(1));
    assert_eq!(key_lanes.inner.calls, [("pause", LANE)]);
    key_lanes.resume(lane(2));
    assert_eq!(key_lanes.inner.calls, [("pause", LANE), ("resume", LANE)]);
    key_lanes.pause(Lane { epoch: 6, ..lane(1) });
    assert_eq!(key_lanes.inner.calls.len(), 2, "an earlier assignment");
}

#[test]
fn key_keeps_its_lane_and_fast_lanes_wait_for_the_slowest() {
    let keys = ["a", "b", "c", "d"];
    let records = (0..AHEAD + 2).map(|n| message(keys[n as usize % 4], n));
    let mut key_lanes = of([assigned()].into_iter().chain(records));
    let mut homes: BTreeMap<Vec<u8>, BTreeSet<Lane>> = BTreeMap::new();
    let mut receipts = Vec::new();
    for incoming in all(&mut key_lanes) {
        let Incoming::Message(delivery) = incoming else { continue };
        let key = delivery.message.key.as_deref().expect("it has one").to_vec();
        homes.entry(key).or_default().insert(delivery.receipt.lane());
        receipts.push(delivery.receipt);
    }
    assert!(homes.values().all(|lanes| lanes.len() == 1), "{homes:?}");
    assert!(homes.values().flatten().collect::<BTreeSet<_>>().len() > 1, "{homes:?}");
    assert_eq!(key_lanes.inner.calls, [("pause", LANE)]);

    // All receipts except the first one, which still holds the others back.
    let first = receipts.remove(0);
    key_lanes.settle(&mut receipts);
    assert_eq!(key_lanes.inner.calls.iter().filter(|(what, _)| *what == "resume").count(), 0);
    key_lanes.release(&mut vec![first]);
    assert_eq!(
        key_lanes.inner.calls[key_lanes.inner.calls.len() - 2..],
        [("release", LANE), ("resume", LANE)]
    );
}
