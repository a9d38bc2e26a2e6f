//! Random lives of the failed messages of a few keys, compared with the state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{Failure, Follower, ReceivedMessage, Retries, RetryLease, SetAsideOutcome};
use messagekit::operations::{Action, FailedMessageState, FailedMessages, StateMachine};
use messagekit::{Claim, Store};

use super::fixture::{
    begin, behind_now, claim_in, commit, look, of, of_key, park_now, runs, set_aside_now, somebody,
};
use super::{FailedMessagesFixture, dead, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const TOPIC: &str = "orders.order";
const KEYS: [&str; 3] = ["a", "b", "c"];
/// The number of worlds that are followed, each through [`STEPS`] steps.
const LIVES: u64 = 12;
const STEPS: usize = 50;

/// Messages arrive, fail, run, are discarded and undone in random order. The store returns what [`StateMachine`] says
/// of each failed message when only the first open one of a key may run. The messages of a key take effect in their order.
pub async fn keys_keep_their_order_through_random_lives<F: FailedMessagesFixture>(fixture: &F) {
    for seed in 0..LIVES {
        let mut world = World::new(fixture, seed);
        for step in 0..STEPS {
            world.step().await;
            world.compare(&format!("seed {seed}, step {step}")).await;
        }
        world.end(&format!("seed {seed}")).await;
    }
}

/// A failed message in the state machine.
struct Life {
    number: i64,
    received: ReceivedMessage,
    rules: StateMachine,
}

struct World<'a, F: FailedMessagesFixture> {
    fixture: &'a F,
    store: F::Store,
    consumer: String,
    random: fastrand::Rng,
    next: i64,
    /// Failed messages by key and offset.
    failed_messages: BTreeMap<(&'static str, i64), Life>,
    /// Granted leases, each with its token in the state machine.
    leases: Vec<(&'static str, i64, i64, RetryLease)>,
    /// Applied offsets by key, in order.
    applied: BTreeMap<&'static str, Vec<i64>>,
    /// Messages that an operator undid: they may come after later ones of their key.
    undone: BTreeSet<i64>,
}

impl<'a, F: FailedMessagesFixture> World<'a, F> {
    fn new(fixture: &'a F, seed: u64) -> Self {
        Self {
            fixture,
            store: fixture.store(),
            consumer: unique("consumer"),
            random: fastrand::Rng::with_seed(seed),
            next: 0,
            failed_messages: BTreeMap::new(),
            leases: Vec::new(),
            applied: BTreeMap::new(),
            undone: BTreeSet::new(),
        }
    }

    async fn step(&mut self) {
        match self.random.u8(0..12) {
            0..=3 => self.arrives().await,
            4 => self.arrives_again().await,
            5 | 6 => self.leases().await,
            7..=9 => self.answers().await,
            _ => self.acts().await,
        }
    }

    /// Returns the offset of the first open failed message of a key.
    fn first(&self, key: &str) -> Option<i64> {
        let mut open =
            self.failed_messages.iter().filter(|((of, _), life)| *of == key && life.rules.state.is_open());
        open.next().map(|((_, offset), _)| *offset)
    }

    /// Promotes the first open failed message of a key. Returns whether it waited.
    fn promote(&mut self, key: &'static str) -> bool {
        let first = self.first(key).and_then(|offset| self.failed_messages.get_mut(&(key, offset)));
        first.is_some_and(|first| first.rules.promote(NOW))
    }

    fn inherits(&mut self, key: &'static str, alone: u32) {
        let first = self.first(key).and_then(|offset| self.failed_messages.get_mut(&(key, offset)));
        first.into_iter().for_each(|first| first.rules.inherit(alone));
    }

    /// Adds the messages that wait behind a failed message to its run, each with its effect.
    async fn followers(
        &self,
        tx: &mut <F::Store as Store>::Tx,
        key: &'static str,
        offset: i64,
        failed_message: i64,
        most: u32,
    ) -> Vec<Follower> {
        let followers = self.store.followers(tx, &self.consumer, failed_message, most, u64::MAX).await;
        let followers = followers.expect("what waits can be read");
        let later = self.failed_messages.range((key, offset + 1)..(key, i64::MAX));
        let open = later.filter(|(_, life)| life.rules.state.is_open());
        let waits = open.take_while(|(_, life)| life.rules.state == FailedMessageState::Blocked);
        let wanted: Vec<i64> = waits.map(|(_, life)| life.number).take(most as usize).collect();
        assert_eq!(followers.iter().map(|follower| follower.failed_message).collect::<Vec<_>>(), wanted);
        for follower in &followers {
            self.fixture.effect(tx, follower.received.id.as_str()).await;
        }
        followers
    }

    fn failure(&mut self) -> (Failure, Option<Timestamp>) {
        if self.random.bool() { (retry_in(Duration::ZERO), Some(NOW)) } else { (dead("no"), None) }
    }

    /// Delivers the next message of a key: it is applied, parked by its failure, or behind its key.
    async fn arrives(&mut self) {
        let key = KEYS[self.random.usize(0..KEYS.len())];
        self.next += 1;
        let (offset, message) = (self.next, of_key(TOPIC, key, self.next));
        let held = self.first(key).is_some();
        let unreadable = self.random.u8(0..6) == 0;
        let rules = match (unreadable, held) {
            (false, true) => {
                behind_now(&self.store, &self.consumer, &[&message]).await;
                StateMachine::waiting(NOW, true)
            }
            (false, false) if self.random.bool() => {
                let mut tx = begin(&self.store).await;
                let claims = claim_in(&self.store, &mut tx, &self.consumer, &[&message]).await;
                assert_eq!(claims, [Claim::Fresh], "nothing of {key} is open");
                self.fixture.effect(&mut tx, message.id.as_str()).await;
                commit(&self.store, tx).await;
                self.applied.entry(key).or_default().push(offset);
                return;
            }
            _ => {
                let (failure, again) = self.failure();
                let parked = park_now(&self.store, &self.consumer, &message, &failure).await;
                assert_eq!(parked, SetAsideOutcome::SetAside);
                StateMachine::parked(failure.attempts, again, held)
            }
        };
        let newest = self.store.list(&of(&self.consumer), 1).await.expect("failed messages can be listed");
        self.failed_messages.insert((key, offset), Life { number: newest[0].id, received: message, rules });
    }

    /// Delivers a late copy, claims it and then sets it aside as failed.
    async fn arrives_again(&mut self) {
        let Some((_, life)) = self.random.choice(&self.failed_messages) else { return };
        assert_eq!(
            look(&self.store, &self.consumer, &life.received).await,
            Claim::from(life.rules.state.marker())
        );
        let outcome = match self.next % 2 {
            0 => park_now(&self.store, &self.consumer, &life.received, &dead("late")).await,
            _ => set_aside_now(&self.store, &self.consumer, &life.received, &dead("late")).await,
        };
        assert_eq!(outcome, SetAsideOutcome::AlreadySettled);
    }

    async fn leases(&mut self) {
        let (lease, until) = if self.random.bool() { (LONG, Timestamp::MAX) } else { (Duration::ZERO, NOW) };
        let given = self.store.lease(&self.consumer, 10, lease).await.expect("leases are answered");
        let mut wanted = Vec::new();
        for key in KEYS {
            let Some(offset) = self.first(key) else { continue };
            let life = self.failed_messages.get_mut(&(key, offset)).expect("it was just found");
            if let Some(token) = life.rules.lease(NOW, until) {
                wanted.push((life.number, key, offset, token));
            }
        }
        let mut numbers: Vec<i64> = given.iter().map(|leased| leased.failed_message).collect();
        numbers.sort_unstable();
        let mut expected: Vec<i64> = wanted.iter().map(|(number, ..)| *number).collect();
        expected.sort_unstable();
        assert_eq!(numbers, expected, "the first of each key that is due, and no other");
        for leased in given {
            let (_, key, offset, token) = wanted
                .iter()
                .find(|(number, ..)| *number == leased.failed_message)
                .expect("they are the same");
            self.leases.push((*key, *offset, *token, leased));
        }
    }

    /// Answers a lease: mostly the last one, sometimes one whose answer comes too late.
    async fn answers(&mut self) {
        let held = self.leases.len();
        if held == 0 {
            return;
        }
        let index = if self.random.u8(0..4) > 0 { held - 1 } else { self.random.usize(0..held) };
        let (key, offset, token, leased) = self.leases[index].clone();
        let (failure, again) = self.failure();
        let choice = self.random.u8(0..4);
        let life = self.failed_messages.get_mut(&(key, offset)).expect("it was leased");
        match choice {
            0 | 1 => {
                let mut tx = begin(&self.store).await;
                self.fixture.effect(&mut tx, life.received.id.as_str()).await;
                let most = if choice == 0 { 0 } else { 3 };
                let followers = self.followers(&mut tx, key, offset, leased.failed_message, most).await;
                let resolved = self.store.resolve(&mut tx, &self.consumer, &leased, &followers).await;
                let resolved = resolved.expect("answers are taken");
                let life = self.failed_messages.get_mut(&(key, offset)).expect("it was leased");
                assert_eq!(resolved, life.rules.resolve(token));
                let alone = life.rules.alone;
                if resolved {
                    commit(&self.store, tx).await;
                    self.applied.entry(key).or_default().push(offset);
                    for follower in &followers {
                        let (at, life) = self
                            .failed_messages
                            .iter_mut()
                            .find(|(_, life)| life.number == follower.failed_message)
                            .expect("it waited");
                        assert!(life.rules.resolve_behind(life.rules.token));
                        self.applied.entry(key).or_default().push(at.1);
                    }
                    if self.promote(key) && followers.is_empty() {
                        self.inherits(key, alone);
                    }
                } else {
                    self.store.rollback(tx).await.expect("a transaction can be rolled back");
                }
            }
            2 => {
                let failed = self.store.fail(&self.consumer, &leased, &failure).await;
                assert_eq!(failed.expect("answers are taken"), life.rules.fail(token, again));
            }
            _ => {
                let back = self.store.hand_back(&self.consumer, &leased, Duration::ZERO).await;
                assert_eq!(back.expect("answers are taken"), life.rules.hand_back(token, NOW));
            }
        }
    }

    /// Performs an action on one failed message, or on two at once.
    async fn acts(&mut self) {
        let act = [Action::Retry, Action::Retry, Action::Discard, Action::Undo][self.random.usize(0..4)];
        let mut chosen: Vec<(&'static str, i64)> = self.failed_messages.keys().copied().collect();
        self.random.shuffle(&mut chosen);
        chosen.truncate(self.random.usize(1..3));
        // When one action undoes both, the earlier one comes first.
        chosen.sort_by_key(|(_, offset)| *offset);
        let ids: Vec<i64> = chosen.iter().map(|at| self.failed_messages[at].number).collect();
        let acted = self.store.act(act, &ids, &somebody()).await.expect("acts are answered");
        for ((key, offset), acted) in chosen.into_iter().zip(acted) {
            let life = self.failed_messages.get_mut(&(key, offset)).expect("it was chosen");
            let allowed = life.rules.act(act, NOW).is_ok();
            assert_eq!(acted.done(act, life.number).is_ok(), allowed, "{act} of {:?}", life.rules);
            if allowed && act == Action::Undo {
                self.undone.insert(offset);
            }
            self.promote(key);
        }
    }

    /// Compares the state of every failed message and of every key with the state machine.
    async fn compare(&mut self, position: &str) {
        let shown = self.store.list(&of(&self.consumer), 1_000).await.expect("failed messages can be listed");
        assert_eq!(shown.len(), self.failed_messages.len(), "failed messages after {position}");
        let by_number: BTreeMap<i64, _> = shown.iter().map(|head| (head.id, head)).collect();
        for ((key, offset), life) in &self.failed_messages {
            let head = by_number[&life.number];
            let open =
                self.failed_messages.iter().filter(|((of, _), life)| of == key && life.rules.state.is_open());
            let holds = life.rules.state.is_open() && life.rules.state != FailedMessageState::Blocked;
            let holds_back = if holds { open.count() as u64 - 1 } else { 0 };
            assert_eq!(
                (
                    head.state,
                    head.reason,
                    head.attempts,
                    head.crash_count,
                    head.due.is_some(),
                    head.parked,
                    head.holds_back
                ),
                (
                    life.rules.state,
                    life.rules.reason,
                    life.rules.attempts,
                    life.rules.crash_count,
                    life.rules.due.is_some(),
                    true,
                    holds_back
                ),
                "offset {offset} of {key} after {position}"
            );
        }
        let probes = KEYS.map(|key| of_key(TOPIC, key, i64::MAX - 1));
        let mut tx = begin(&self.store).await;
        let claims = claim_in(&self.store, &mut tx, &self.consumer, &probes.iter().collect::<Vec<_>>()).await;
        self.store.rollback(tx).await.expect("a transaction can be rolled back");
        let wanted = KEYS.map(|key| if self.first(key).is_some() { Claim::KeyBlocked } else { Claim::Fresh });
        assert_eq!(claims, wanted, "keys after {position}");
    }

    /// Retries everything. Each message that is not discarded took effect once, in the order of its key.
    async fn end(&mut self, position: &str) {
        for (.., leased) in &self.leases {
            self.store.hand_back(&self.consumer, leased, Duration::ZERO).await.expect("answers are taken");
        }
        for round in 0.. {
            let numbers: Vec<i64> = self.failed_messages.values().map(|life| life.number).collect();
            self.store.act(Action::Retry, &numbers, &somebody()).await.expect("acts are answered");
            let ran = runs(self.fixture, &self.consumer).await;
            if ran.is_empty() {
                break;
            }
            assert!(round < 100, "{position} never ends");
            for id in ran {
                let ((key, offset), _) = self
                    .failed_messages
                    .iter()
                    .find(|(_, life)| life.received.id == id)
                    .expect("it has a failed message");
                self.applied.entry(key).or_default().push(*offset);
            }
        }
        for ((key, offset), life) in &self.failed_messages {
            let head = self.store.show(life.number).await.expect("the failed message can be shown");
            assert!(
                !head.state.is_open(),
                "offset {offset} of {key} is left {} after {position}",
                head.state
            );
            let effects = u64::from(head.state == FailedMessageState::Resolved);
            assert_eq!(self.fixture.effects(life.received.id.as_str()).await, effects, "{position}");
        }
        for (key, offsets) in &self.applied {
            let kept: Vec<i64> =
                offsets.iter().copied().filter(|offset| !self.undone.contains(offset)).collect();
            assert!(kept.is_sorted(), "{key} took effect as {kept:?} in {position}");
            let once: BTreeSet<i64> = offsets.iter().copied().collect();
            assert_eq!(once.len(), offsets.len(), "{key} took effect as {offsets:?} in {position}");
        }
        let free = KEYS.map(|key| of_key(TOPIC, key, i64::MAX));
        for probe in free {
            assert_eq!(look(&self.store, &self.consumer, &probe).await, Claim::Fresh, "{position}");
        }
    }
}
