//! Actions of operators on failed messages, and their audit.

use serde::{Deserialize, Serialize};

use super::FailedMessageState;
use crate::{Error, ErrorKind};

/// Selects what an operator does with failed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Action {
    /// Runs a failed message now. Of a dead one it requests one more run, and resets its attempts and crashes to 0. A run that
    /// is planned for later is due now, and changes nothing else: it fails and is repeated as it would have been at its time.
    /// A message that runs or is due already is left alone.
    Retry,
    /// Discards an open failed message, even while it runs. Neither the message nor a late copy is ever applied.
    Discard,
    /// Undoes a discard. The failed message is dead, or takes its position in the order of its key if it was parked there and
    /// has not failed itself. Later messages of its key may have been applied meanwhile.
    Undo,
}

crate::__words! {
    Action {
        Retry: "retry",
        Discard: "discard",
        Undo: "undo",
    }
}

impl Action {
    /// Returns the state after the action on `state`, or `None` if the action does nothing. A parked message that has not
    /// failed itself does not become dead, and a planned run is retried only before it is due: see
    /// [`StateMachine::act`](super::StateMachine::act).
    pub fn of(self, state: FailedMessageState) -> Option<FailedMessageState> {
        match self {
            Self::Retry => match state {
                FailedMessageState::Dead => Some(FailedMessageState::RetryRequested),
                FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested => Some(state),
                _ => None,
            },
            Self::Discard => state.is_open().then_some(FailedMessageState::Discarded),
            Self::Undo => (state == FailedMessageState::Discarded).then_some(FailedMessageState::Dead),
        }
    }
}

/// Reports the result of an action on one failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// The action was applied.
    Done,
    /// This failed message does not exist.
    NotFound,
    /// The action does not apply to this state: another operator acted first, or the action was never possible. A retry
    /// of a `Dead` message fails so if a broker kept the message and its redelivery target is unknown.
    WrongState(FailedMessageState),
    /// Retention removed the message's marker, and a late copy was settled since. The action would contradict that.
    Settled,
    /// The filter of the selection does not match it any more, or its version is not the one that was counted.
    Changed,
}

impl ActionResult {
    /// Returns why the action was not applied, in the words of the audit.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::NotFound => Some("not found"),
            Self::WrongState(state) => Some(state.as_str()),
            Self::Settled => Some("settled"),
            Self::Changed => Some("changed"),
        }
    }

    /// Converts a result other than `Done` into an error that states the reason.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] or [`ErrorKind::WrongState`], with the failed message's number. A retry does not
    /// help.
    pub fn done(self, act: Action, failed_message: i64) -> Result<(), Error> {
        let text = match self {
            Self::Done => return Ok(()),
            Self::NotFound => return Err(no_failed_message(failed_message)),
            // A missing redelivery target is the only reason to refuse a retry.
            Self::WrongState(FailedMessageState::Dead) if act == Action::Retry => format!(
                "failed message {failed_message} has no way back, as its error tells: publish its message by hand, then discard it"
            ),
            Self::Settled => format!(
                "message of failed message {failed_message} was settled by a late copy since: nothing is left to {act}"
            ),
            Self::Changed => {
                format!("failed message {failed_message} has changed since it was selected: select again")
            }
            Self::WrongState(FailedMessageState::Blocked) if act == Action::Retry => {
                format!(
                    "failed message {failed_message} waits for an earlier one of its key: retry or discard that one"
                )
            }
            // It was retried, or became due, or its lease has not ended.
            Self::WrongState(
                state @ (FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested),
            ) if act == Action::Retry => {
                format!("failed message {failed_message} is {state}, and due or running already")
            }
            Self::WrongState(state) => {
                let needed = match act {
                    Action::Retry => "only an open one can be retried",
                    Action::Discard => "only an open one can be discarded",
                    Action::Undo => "only a discarded one can be brought back",
                };
                format!("failed message {failed_message} is {state}: {needed}")
            }
        };
        Err(Error::new(ErrorKind::WrongState, text))
    }
}

/// Creates the error for a failed message number that does not exist; every store uses it.
pub fn no_failed_message(failed_message: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no failed message {failed_message}"))
}

/// Names the operator. The audit row in the action's transaction stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name of the token, or of the user who runs the command.
    pub name: String,
    /// The interface that received the action: `cli`, `http`.
    pub through: String,
    /// The request id, if there is one.
    pub request_id: Option<String>,
}

impl Operator {
    /// The most bytes of a name, an interface and a request id.
    pub const MAX_BYTES: usize = 200;

    /// Creates an operator without a request id. Every action refuses one with a longer part than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(name: impl Into<String>, through: impl Into<String>) -> Self {
        Self { name: name.into(), through: through.into(), request_id: None }
    }

    /// Refuses an operator that the audit would not keep. A store calls it before each action.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if a part has more bytes than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn check(&self) -> Result<(), Error> {
        let request_id = self.request_id.as_deref().unwrap_or_default();
        let parts = [("name", &*self.name), ("interface", &*self.through), ("request id", request_id)];
        match parts.into_iter().find(|(_, text)| text.len() > Self::MAX_BYTES) {
            None => Ok(()),
            Some((part, text)) => {
                let (bytes, most) = (text.len(), Self::MAX_BYTES);
                let text = format!("{part} of the operator has {bytes} bytes: give one of at most {most}");
                Err(Error::new(ErrorKind::TooLarge, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_says_which_failed_message_and_why() {
        let text = |result: ActionResult, act| result.done(act, 7).expect_err("not done").to_string();
        assert_eq!(text(ActionResult::NotFound, Action::Retry), "there is no failed message 7");
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::RetryRequested), Action::Retry),
            "failed message 7 is retry_requested, and due or running already"
        );
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::RetryScheduled), Action::Retry),
            "failed message 7 is retry_scheduled, and due or running already"
        );
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::Discarded), Action::Retry),
            "failed message 7 is discarded: only an open one can be retried"
        );
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::Resolved), Action::Discard),
            "failed message 7 is resolved: only an open one can be discarded"
        );
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::Dead), Action::Undo),
            "failed message 7 is dead: only a discarded one can be brought back"
        );
        assert_eq!(
            text(ActionResult::WrongState(FailedMessageState::Blocked), Action::Retry),
            "failed message 7 waits for an earlier one of its key: retry or discard that one"
        );
        let no_way_back = text(ActionResult::WrongState(FailedMessageState::Dead), Action::Retry);
        assert!(no_way_back.starts_with("failed message 7 has no way back"), "{no_way_back}");
        assert_eq!(
            text(ActionResult::Settled, Action::Undo),
            "message of failed message 7 was settled by a late copy since: nothing is left to undo"
        );
        assert_eq!(
            text(ActionResult::Changed, Action::Discard),
            "failed message 7 has changed since it was selected: select again"
        );
        assert!(ActionResult::Done.done(Action::Retry, 7).is_ok());
    }
}
