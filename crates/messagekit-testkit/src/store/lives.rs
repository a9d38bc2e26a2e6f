//! Random lives of a failed message, compared with the state machine.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::Claim;
use messagekit::adapter::{Failure, FullInbox, RetryLease};
use messagekit::operations::{Action, FailedMessageState, FailedMessages, Operator, StateMachine};

use super::fixture::{begin, commit, look, only_failed_message, set_aside_now};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
/// The number of failed messages that are followed, each through [`STEPS`] steps.
const LIVES: u64 = 40;
const STEPS: usize = 30;

/// Processes and operators act on a failed message in random order, late answers included. The store returns what
/// [`StateMachine`] says.
pub async fn failed_message_keeps_the_rules_through_random_lives<F: FailedMessagesFixture>(fixture: &F) {
    for seed in 0..LIVES {
        live(fixture, seed).await;
    }
}

/// The clock of the state machine does not advance: a delay of zero is due at that time, a delay of [`LONG`] never is.
fn at(delay: Duration) -> Timestamp {
    if delay.is_zero() { Timestamp::UNIX_EPOCH } else { Timestamp::MAX }
}

fn some_failure(random: &mut fastrand::Rng) -> (Failure, Option<Timestamp>) {
    match random.u8(0..3) {
        0 => (dead("no"), None),
        1 => (retry_in(LONG), Some(at(LONG))),
        _ => (retry_in(Duration::ZERO), Some(at(Duration::ZERO))),
    }
}

fn some_delay(random: &mut fastrand::Rng) -> Duration {
    if random.bool() { Duration::ZERO } else { LONG }
}

async fn live<F: FailedMessagesFixture>(fixture: &F, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let message = received("orders.order", "{}");
    let (failure, again) = some_failure(&mut random);
    set_aside_now(&store, &consumer, &message, &failure).await;
    let id = only_failed_message(&store, &consumer).await.id;
    let rules = StateMachine::set_aside(failure.attempts, again);
    let mut life = Life { store, consumer, id, rules, leases: Vec::new(), random, position: String::new() };
    for step in 0..STEPS {
        life.position = format!("seed {seed}, step {step}, {:?}", life.rules);
        life.step().await;
        let (shown, rules) =
            (life.store.show(id).await.expect("the failed message can be shown"), &life.rules);
        assert_eq!(
            (shown.state, shown.reason, shown.attempts, shown.crash_count, shown.due.is_some()),
            (rules.state, rules.reason, rules.attempts, rules.crash_count, rules.due.is_some()),
            "after {}",
            life.position
        );
        let marker = look(&life.store, &life.consumer, &message).await;
        assert_eq!(marker, Claim::from(rules.state.marker()), "claim after {}", life.position);
    }
}

/// A failed message in a store and in the state machine.
struct Life<S> {
    store: S,
    consumer: String,
    id: i64,
    rules: StateMachine,
    /// Each lease with its token in the state machine. A store may count its own tokens differently.
    leases: Vec<(i64, RetryLease)>,
    random: fastrand::Rng,
    /// The step, for messages.
    position: String,
}

impl<S: FullInbox + FailedMessages> Life<S> {
    /// Lets a process or an operator act on both.
    async fn step(&mut self) {
        // Mostly the last lease, sometimes one whose answer comes too late.
        let lease = match self.leases.len() {
            0 => None,
            held if self.random.u8(0..4) > 0 => self.leases.get(held - 1),
            held => self.leases.get(self.random.usize(0..held)),
        };
        match (self.random.u8(0..8), lease.cloned()) {
            (0, Some((token, leased))) => self.resolve(token, &leased).await,
            (1 | 2, Some((token, leased))) => self.fail(token, &leased).await,
            (3, Some((token, leased))) => self.hand_back(token, &leased).await,
            (4 | 5, _) => self.act().await,
            _ => self.lease().await,
        }
    }

    async fn resolve(&mut self, token: i64, leased: &RetryLease) {
        let Self { store, consumer, rules, position, .. } = self;
        let mut tx = begin(store).await;
        let resolved = store.resolve(&mut tx, consumer, leased, &[]).await.expect("answers are taken");
        assert_eq!(resolved, rules.resolve(token), "resolve at {position}");
        match resolved {
            true => commit(store, tx).await,
            false => store.rollback(tx).await.expect("a transaction can be rolled back"),
        }
    }

    async fn fail(&mut self, token: i64, leased: &RetryLease) {
        let (failure, again) = some_failure(&mut self.random);
        let failed = self.store.fail(&self.consumer, leased, &failure).await.expect("answers are taken");
        assert_eq!(failed, self.rules.fail(token, again), "fail at {}", self.position);
    }

    async fn hand_back(&mut self, token: i64, leased: &RetryLease) {
        let delay = some_delay(&mut self.random);
        let back = self.store.hand_back(&self.consumer, leased, delay).await.expect("answers are taken");
        assert_eq!(back, self.rules.hand_back(token, at(delay)), "hand back at {}", self.position);
    }

    async fn act(&mut self) {
        let act = [Action::Retry, Action::Retry, Action::Discard, Action::Undo][self.random.usize(0..4)];
        let by = Operator::new("ann", "test");
        let acted = self.store.act(act, &[self.id], &by).await.expect("acts are answered");
        let done = acted[0].done(act, self.id).is_ok();
        assert_eq!(done, self.rules.act(act, at(Duration::ZERO)).is_ok(), "{act} at {}", self.position);
    }

    async fn lease(&mut self) {
        let Self { rules, position, .. } = self;
        let lease = some_delay(&mut self.random);
        let given = self.store.lease(&self.consumer, 10, lease).await.expect("leases are answered");
        let token = rules.lease(at(Duration::ZERO), at(lease));
        assert_eq!(given.len(), usize::from(token.is_some()), "lease at {position}");
        if let (Some(leased), Some(token)) = (given.into_iter().next(), token) {
            let counted = (leased.attempt, leased.crash_count, leased.requested);
            let requested = rules.state == FailedMessageState::RetryRequested;
            assert_eq!(counted, (rules.attempts, rules.crash_count, requested), "lease at {position}");
            self.leases.push((token, leased));
        }
    }
}
