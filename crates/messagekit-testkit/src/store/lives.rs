//! Random lives of a failed message, compared with the state machine.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::Store;
use messagekit::adapter::{Failure, Retries, RetryLease};
use messagekit::operations::{Action, FailedMessageState, FailedMessages, Operator, StateMachine};

use super::fixture::{begin, commit, look, only_failed_message, set_aside_now};
use super::{StoreFixture, dead, received, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
/// The number of failed messages that are followed, each through [`STEPS`] steps.
const LIVES: u64 = 40;
const STEPS: usize = 30;

/// Processes and operators act on a failed message in random order, late answers included. The store returns what
/// [`StateMachine`] says.
pub async fn failed_message_keeps_the_rules_through_random_lives<F: StoreFixture>(fixture: &F) {
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

async fn live<F: StoreFixture>(fixture: &F, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (now, by) = (at(Duration::ZERO), Operator::new("ann", "test"));
    let message = received("orders.order", "{}");
    let (failure, again) = some_failure(&mut random);
    set_aside_now(&store, &consumer, &message, &failure).await;
    let mut rules = StateMachine::set_aside(failure.attempts, again);
    let id = only_failed_message(&store, &consumer).await.id;
    // Each lease has its token in the state machine. A store may count its own tokens differently.
    let mut leases: Vec<(i64, RetryLease)> = Vec::new();

    for step in 0..STEPS {
        let position = format!("seed {seed}, step {step}, {rules:?}");
        // Mostly the last lease, sometimes one whose answer comes too late.
        let lease = match leases.len() {
            0 => None,
            held if random.u8(0..4) > 0 => leases.get(held - 1),
            held => leases.get(random.usize(0..held)),
        };
        match (random.u8(0..8), lease) {
            (0, Some((token, leased))) => {
                let mut tx = begin(&store).await;
                let resolved =
                    store.resolve(&mut tx, &consumer, leased, &[]).await.expect("answers are taken");
                assert_eq!(resolved, rules.resolve(*token), "resolve at {position}");
                match resolved {
                    true => commit(&store, tx).await,
                    false => store.rollback(tx).await.expect("a transaction can be rolled back"),
                }
            }
            (1 | 2, Some((token, leased))) => {
                let (failure, again) = some_failure(&mut random);
                let failed = store.fail(&consumer, leased, &failure).await.expect("answers are taken");
                assert_eq!(failed, rules.fail(*token, again), "fail at {position}");
            }
            (3, Some((token, leased))) => {
                let delay = some_delay(&mut random);
                let back = store.hand_back(&consumer, leased, delay).await.expect("answers are taken");
                assert_eq!(back, rules.hand_back(*token, at(delay)), "hand back at {position}");
            }
            (4 | 5, _) => {
                let act = [Action::Retry, Action::Retry, Action::Discard, Action::Undo][random.usize(0..4)];
                let acted = store.act(act, &[id], &by).await.expect("acts are answered");
                let done = acted[0].done(act, id).is_ok();
                assert_eq!(done, rules.act(act, now).is_ok(), "{act} at {position}");
            }
            _ => {
                let lease = some_delay(&mut random);
                let given = store.lease(&consumer, 10, lease).await.expect("leases are answered");
                let token = rules.lease(now, at(lease));
                assert_eq!(given.len(), usize::from(token.is_some()), "lease at {position}");
                if let (Some(leased), Some(token)) = (given.into_iter().next(), token) {
                    let counted = (leased.attempt, leased.crash_count, leased.requested);
                    let requested = rules.state == FailedMessageState::RetryRequested;
                    assert_eq!(
                        counted,
                        (rules.attempts, rules.crash_count, requested),
                        "lease at {position}"
                    );
                    leases.push((token, leased));
                }
            }
        }
        let shown = store.show(id).await.expect("the failed message can be shown");
        assert_eq!(
            (shown.state, shown.attempts, shown.crash_count, shown.due.is_some()),
            (rules.state, rules.attempts, rules.crash_count, rules.due.is_some()),
            "after {position}"
        );
        assert_eq!(look(&store, &consumer, &message).await, rules.marker(), "claim after {position}");
    }
}
