//! Runs a random case: plays its steps, ends its faults and checks the result.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::adapter::BatchLimit;
use messagekit::operations::FailedMessageState;
use messagekit::{Claim, ErrorKind, OnFailure, ParkingLimits};
use messagekit_memory::{Failpoint, TestGate};
use proptest::sample::Index;
use tokio::time::Instant;

use crate::fixture::{Action, CONSUMER, Running, TOPIC, World, names, pass, seconds, start};
use crate::flaky::{Call, Flaky};

/// The handler's results for a message until its faults end.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) acts: Vec<Action>,
    pub(crate) then: Action,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Push(usize, Fate),
    PushCopy(Index),
    Pass(u64),
    LoseLanes,
    Redeliver,
    FailNext(Failpoint, ErrorKind),
    Down(Call),
    Up,
    CloseGate,
    OpenGate,
    Join,
    Stop(Index),
    Kill(Index),
    ActByPerson(messagekit::operations::Action, Index),
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) policy: OnFailure,
    pub(crate) partitions: usize,
    pub(crate) key_lanes: u32,
    /// Maximum number of parked failed messages of a key.
    pub(crate) room: u32,
    pub(crate) batch: u32,
    pub(crate) grant: u32,
    pub(crate) steps: Vec<Step>,
}

pub(crate) const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// A running case.
pub(crate) struct Play {
    world: World,
    flaky: Flaky,
    gate: TestGate,
    case: Case,
    members: Vec<Running>,
    /// Number of messages of each key.
    pushed: BTreeMap<&'static str, i64>,
    /// Messages that an operator reopened: they may be applied after later ones of their key.
    undone: BTreeSet<String>,
    /// Keys with messages that may fail, and whose order is therefore lost.
    out_of_order: Vec<&'static str>,
}

impl Play {
    pub(crate) fn new(case: Case) -> Self {
        let world = World::new(case.partitions);
        let gate = TestGate::new();
        gate.limit(case.grant);
        let flaky = Flaky::new(&world.store);
        flaky.slow();
        let (members, pushed, undone, out_of_order) = Default::default();
        Self { world, flaky, gate, case, members, pushed, undone, out_of_order }
    }

    fn join(&mut self) {
        let limit = BatchLimit {
            messages: NonZeroU32::new(self.case.batch).expect("at least 1"),
            time: Duration::from_millis(10),
        };
        let builder = self.world.consumer_on(CONSUMER, self.flaky.clone()).batch(limit);
        let builder = builder.attempts(NonZeroU32::new(3).expect("3 > 0")).deadline(seconds(1));
        let builder = builder.key_lanes(NonZeroU32::new(self.case.key_lanes).expect("1 at least"));
        let builder =
            builder.parking_limits(ParkingLimits { per_key: self.case.room, in_all: 3 * self.case.room });
        self.members.push(start(builder.on_failure(self.case.policy).gate(self.gate.clone())));
    }

    fn any_member(&mut self, index: Index) -> Option<Running> {
        (!self.members.is_empty()).then(|| self.members.swap_remove(index.index(self.members.len())))
    }

    pub(crate) async fn step(&mut self, step: Step) {
        match step {
            Step::Push(key, fate) => self.push(KEYS[key], fate).await,
            Step::PushCopy(index) => {
                let keys: Vec<_> = self.pushed.iter().map(|(key, last)| (*key, *last)).collect();
                if !keys.is_empty() {
                    let (key, last) = keys[index.index(keys.len())];
                    self.world.push(key, 1 + index.index(last as usize) as i64).await;
                }
            }
            Step::Pass(ms) => pass(Duration::from_millis(ms)).await,
            Step::LoseLanes => self.world.log.lose(CONSUMER),
            Step::Redeliver => self.world.log.redeliver(CONSUMER),
            Step::FailNext(point, kind) => self.world.store.fail_next(point, kind),
            Step::Down(call) => self.flaky.fail(call, ErrorKind::Unavailable),
            Step::Up => self.flaky.heal(),
            Step::CloseGate => self.gate.close(),
            Step::OpenGate => self.gate.open(),
            Step::Join if self.members.len() < 3 => self.join(),
            Step::Join => {}
            Step::Stop(index) => {
                if let Some(member) = self.any_member(index) {
                    member.stop().await;
                }
            }
            Step::Kill(index) => {
                if let Some(member) = self.any_member(index) {
                    member.kill().await;
                }
            }
            Step::ActByPerson(act, index) => {
                let failed_messages = self.world.failed_messages().await;
                if !failed_messages.is_empty() {
                    let failed_message = &failed_messages[index.index(failed_messages.len())];
                    // The action does not apply to most states; those are unchanged.
                    let acted = self.world.act(act, failed_message.id).await;
                    if acted.is_ok() && act == messagekit::operations::Action::Undo {
                        self.undone.insert(failed_message.message_id.to_string());
                    }
                }
            }
        }
    }

    async fn push(&mut self, key: &'static str, fate: Fate) {
        let last = self.pushed.entry(key).or_default();
        *last += 1;
        let fails = |act: &Action| {
            !matches!(act, Action::Apply | Action::Unavailable | Action::Conflict | Action::Take(_))
        };
        let too_slow = |act: &Action| matches!(act, Action::Take(time) if *time > seconds(1));
        if fate.acts.iter().chain([&fate.then]).any(|act| fails(act) || too_slow(act)) {
            self.out_of_order.push(key);
        }
        self.world.script.plan(&format!("{key}-{last}"), fate.acts, fate.then);
        self.world.push(key, *last).await;
    }

    /// Ends every fault except permanently failing messages, and waits until all work is done.
    pub(crate) async fn heal(&mut self) {
        self.flaky.heal();
        self.gate.open();
        // Under the other two policies, a permanently failing message would block others without limit.
        if self.case.policy != OnFailure::DeadLetter {
            self.world.script.heal();
        }
        if self.members.is_empty() {
            self.join();
        }
        self.settled().await;
        self.world.log.redeliver(CONSUMER);
        self.settled().await;
        for member in std::mem::take(&mut self.members) {
            member.stop().await;
        }
    }

    async fn settled(&self) {
        let started = Instant::now();
        loop {
            let done: i64 = (0..self.case.partitions).map(|p| self.world.committed(p as i32)).sum();
            let parks = self.case.policy == OnFailure::ParkKey;
            let waits =
                |state: FailedMessageState| state.is_open() && (parks || state != FailedMessageState::Dead);
            let failed_messages = self.world.failed_messages().await;
            for dead in failed_messages
                .iter()
                .filter(|failed_message| parks && failed_message.state == FailedMessageState::Dead)
            {
                // A conflicting transaction is short: the loop repeats the retry.
                let _ = self.world.retry(dead.id).await;
            }
            if done as usize == self.world.log.len(TOPIC)
                && !failed_messages.iter().any(|failed_message| waits(failed_message.state))
            {
                return;
            }
            assert!(
                started.elapsed() < seconds(900),
                "does not come to rest: {done} done, {failed_messages:?}"
            );
            pass(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn check(&self) {
        let mut applied: BTreeMap<String, u32> = BTreeMap::new();
        self.world.applied().into_iter().for_each(|id| *applied.entry(id).or_default() += 1);
        let mut failed_messages: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for failed_message in self.world.failed_messages().await {
            let in_place = self.case.policy == OnFailure::ParkKey;
            assert!(
                in_place || failed_message.attempts <= 3 + failed_message.crash_count,
                "{failed_message:?}"
            );
            failed_messages
                .entry(failed_message.received.id.to_string())
                .or_default()
                .push(failed_message.state);
        }
        for id in self.pushed.iter().flat_map(|(key, last)| names(key, *last)) {
            let times = applied.remove(&id).unwrap_or_default();
            let states = failed_messages.remove(&id).unwrap_or_default();
            let marker = self.world.marker(&id);
            let is_well = match (times, &states[..]) {
                (1, [] | [FailedMessageState::Resolved]) => marker == Some(Claim::Done),
                (0, [FailedMessageState::Dead]) => marker == Some(Claim::Held),
                (0, [FailedMessageState::Discarded]) => marker == Some(Claim::Discarded),
                _ => false,
            };
            assert!(
                is_well,
                "{id} was applied {times} times, its failed messages are {states:?}, its marker {marker:?}"
            );
        }
        assert!(
            applied.is_empty() && failed_messages.is_empty(),
            "out of nothing: {applied:?} {failed_messages:?}"
        );
        self.check_order();
        assert_eq!(self.world.store.open_transactions(), 0);
        let back = self.gate.outcomes().len() + self.gate.abandoned() as usize;
        assert_eq!(self.gate.admissions(), back, "every permit came back");
    }

    fn check_order(&self) {
        let keeps_order = self.case.policy != OnFailure::DeadLetter;
        let kept = |key: &&str| keeps_order || !self.out_of_order.contains(key);
        for (key, last) in self.pushed.iter().filter(|(key, _)| kept(key)) {
            let applied = self.world.applied();
            let in_order = |id: &String| id.starts_with(*key) && !self.undone.contains(id);
            let of_key: Vec<_> = applied.iter().filter(|id| in_order(id)).cloned().collect();
            // A discarded message is not applied at all.
            let wanted = names(key, *last).into_iter().filter(|id| applied.contains(id) && in_order(id));
            assert_eq!(of_key, wanted.collect::<Vec<_>>(), "the order of {key}");
        }
    }
}
