//! Lanes and due failed messages alternate at a gate with a low limit.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use messagekit::gate::{Abandon, BatchView, Gate, Outcome, Permit};

use crate::fixture::{Action, TOPIC, World, pass, seconds, start, until};

/// Gate slot of due failed messages.
const FAILED_MESSAGES: u32 = u32::MAX;

#[tokio::test(start_paused = true)]
async fn lanes_take_turns_under_a_limit_of_one() {
    let world = World::new(4);
    for n in 1..=30 {
        for partition in ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"] {
            world.push(partition, n).await;
        }
    }
    let lanes: BTreeSet<i32> =
        world.log.records(TOPIC).iter().map(|record| record.position.partition).collect();
    assert_eq!(lanes.len(), 4, "every partition has something");
    let gate = OneAtATime::default();
    let consumer = start(world.billing().gate(gate.clone()).one_by_one());
    until(|| gate.admitted().len() >= 40).await;
    let admitted: Vec<u32> = gate.admitted().into_iter().filter(|slot| *slot != FAILED_MESSAGES).collect();
    for turn in admitted.chunks_exact(4) {
        assert_eq!(turn.iter().collect::<BTreeSet<_>>().len(), 4, "{admitted:?}");
    }
    until(|| world.applied().len() == 240).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_due_retry_runs_despite_a_backlog_at_a_narrow_gate() {
    let world = World::new(2);
    world.script.next("z-1", [Action::Fail]);
    world.push("z", 1).await;
    for n in 1..=400 {
        for key in ["a", "b"] {
            world.push(key, n).await;
            world.script.always(&format!("{key}-{n}"), Action::Take(Duration::from_millis(50)));
        }
    }
    let gate = OneAtATime::default();
    let consumer = start(world.billing().gate(gate.clone()).one_by_one());
    pass(seconds(10)).await;
    assert!(world.applied().contains(&"z-1".to_owned()), "the failed message was due after a second");
    assert!((150..201).contains(&world.applied().len()), "and cost the lanes little");
    consumer.stop().await;
}

/// Admits one message at a time.
#[derive(Clone, Default)]
struct OneAtATime(Arc<Mutex<Turnstile>>);

#[derive(Default)]
struct Turnstile {
    taken: bool,
    waiting: Option<Waker>,
    admitted: Vec<u32>,
}

impl OneAtATime {
    fn admitted(&self) -> Vec<u32> {
        self.0.lock().expect("permit").admitted.clone()
    }
}

struct Back(Arc<Mutex<Turnstile>>);

impl Abandon for Back {
    fn abandon(&self, _: u64, _: u32) {
        let mut turnstile = self.0.lock().expect("permit");
        turnstile.taken = false;
        turnstile.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl Gate for OneAtATime {
    fn name(&self) -> &'static str {
        "one at a time"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        let mut turnstile = self.0.lock().expect("permit");
        if turnstile.taken {
            turnstile.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        turnstile.taken = true;
        turnstile.admitted.push(batch.lane.slot);
        Poll::Ready(Permit::new(0, 1, Some(Arc::new(Back(self.0.clone())))))
    }

    fn settle(&mut self, permit: Permit, _: &Outcome) {
        drop(permit);
    }
}
