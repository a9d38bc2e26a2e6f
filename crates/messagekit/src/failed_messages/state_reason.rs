//! Why a failed message is in its state.

use serde::{Deserialize, Serialize};

/// Says why a failed message is in its present state.
///
/// The transition that leads to the state stores the reason, so that a reader never has to guess it from times and
/// counts. [`FailureKind`](crate::adapter::FailureKind) says why the message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum StateReason {
    /// It was set aside. It is scheduled, or dead because its failure allows no retry.
    SetAside,
    /// It was parked behind an earlier open message of its key. It is blocked.
    KeyBlocked,
    /// No earlier message of its key is open any more. It is scheduled.
    KeyFreed,
    /// A scheduled run failed. It is scheduled again, or dead.
    RunFailed,
    /// An operator requested one more run.
    RetryRequested,
    /// The run that an operator requested failed. It is dead.
    RequestedRunFailed,
    /// A run applied it, or its broker has it back. It is resolved.
    Applied,
    /// An operator discarded it.
    Discarded,
    /// An operator undid its discard. It is dead, or blocked if it has not failed itself and an earlier message of its key is
    /// open.
    DiscardUndone,
}

crate::__words! {
    StateReason, "state reason" {
        SetAside: "set_aside",
        KeyBlocked: "key_blocked",
        KeyFreed: "key_freed",
        RunFailed: "run_failed",
        RetryRequested: "retry_requested",
        RequestedRunFailed: "requested_run_failed",
        Applied: "applied",
        Discarded: "discarded",
        DiscardUndone: "discard_undone",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::StateReason;
    use crate::failed_messages::{Action, FailedMessageState, StateMachine};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn scheduled() -> StateMachine {
        StateMachine::set_aside(1, Some(NOW))
    }

    fn after_retry() -> StateMachine {
        let mut failed_message = StateMachine::set_aside(1, None);
        failed_message.act(Action::Retry, NOW).expect("it is dead");
        failed_message
    }

    fn leased(mut failed_message: StateMachine) -> (StateMachine, i64) {
        let reason = failed_message.reason;
        let token = failed_message.lease(NOW, NOW).expect("it is due");
        assert!(failed_message.begin_run(token, 3, NOW));
        assert_eq!(failed_message.reason, reason, "a run in flight keeps the reason");
        (failed_message, token)
    }

    fn failed(failed_message: StateMachine, again: Option<Timestamp>) -> StateMachine {
        let (mut failed_message, token) = leased(failed_message);
        assert!(failed_message.fail(token, again));
        failed_message
    }

    fn resolved(failed_message: StateMachine) -> StateMachine {
        let (mut failed_message, token) = leased(failed_message);
        assert!(failed_message.resolve(token));
        failed_message
    }

    fn acted(mut failed_message: StateMachine, acts: &[Action]) -> StateMachine {
        for act in acts {
            failed_message.act(*act, NOW).expect("the action applies");
        }
        failed_message
    }

    #[test]
    fn each_transition_stores_its_reason() {
        use FailedMessageState as State;
        let parked = StateMachine::waiting(NOW, true);
        let (mut promoted, mut run_behind) = (parked, parked);
        assert!(promoted.promote(NOW) && run_behind.resolve_behind(parked.token));
        let undone = [Action::Discard, Action::Undo];
        let mut undone_and_promoted = acted(parked, &undone);
        assert!(undone_and_promoted.promote(NOW));
        for (failed_message, state, reason) in [
            (scheduled(), State::RetryScheduled, StateReason::SetAside),
            (StateMachine::set_aside(1, None), State::Dead, StateReason::SetAside),
            (StateMachine::parked(1, Some(NOW), false), State::RetryScheduled, StateReason::SetAside),
            (parked, State::Blocked, StateReason::KeyBlocked),
            (promoted, State::RetryScheduled, StateReason::KeyFreed),
            (run_behind, State::Resolved, StateReason::Applied),
            (failed(scheduled(), Some(NOW)), State::RetryScheduled, StateReason::RunFailed),
            (failed(scheduled(), None), State::Dead, StateReason::RunFailed),
            (failed(after_retry(), Some(NOW)), State::Dead, StateReason::RequestedRunFailed),
            (failed(after_retry(), None), State::Dead, StateReason::RequestedRunFailed),
            (resolved(scheduled()), State::Resolved, StateReason::Applied),
            (resolved(after_retry()), State::Resolved, StateReason::Applied),
            (after_retry(), State::RetryRequested, StateReason::RetryRequested),
            (acted(scheduled(), &undone[..1]), State::Discarded, StateReason::Discarded),
            (acted(scheduled(), &undone), State::Dead, StateReason::DiscardUndone),
            (acted(parked, &undone), State::Blocked, StateReason::DiscardUndone),
            (undone_and_promoted, State::RetryScheduled, StateReason::KeyFreed),
            (acted(after_retry(), &undone), State::Dead, StateReason::DiscardUndone),
        ] {
            assert_eq!((failed_message.state, failed_message.reason), (state, reason), "{failed_message:?}");
        }
    }

    #[test]
    fn a_returned_lease_keeps_the_reason() {
        for (failed_message, reason) in [
            (scheduled(), StateReason::SetAside),
            (failed(scheduled(), Some(NOW)), StateReason::RunFailed),
            (after_retry(), StateReason::RetryRequested),
        ] {
            let (mut failed_message, token) = leased(failed_message);
            assert!(failed_message.hand_back(token, NOW));
            assert_eq!(failed_message.reason, reason);
        }
    }

    #[test]
    fn each_reason_is_read_back_from_its_word() {
        for reason in StateReason::ALL {
            assert_eq!(reason.as_str().parse::<StateReason>().expect("its word"), reason);
        }
        let error = "guessed".parse::<StateReason>().expect_err("no reason").to_string();
        assert!(error.starts_with("state reason \"guessed\" is none of set_aside, "), "{error}");
    }
}
