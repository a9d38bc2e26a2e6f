//! What a person does with a failed message, and what is written down about it.

use std::fmt;

use super::FailedMessageState;
use crate::{Error, ErrorKind};

/// What a person does with failed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Asks for one more run of a failed message: attempts and kills are counted from 0 again.
    Retry,
    /// Gives an open failed message up, also while it runs: its message is never applied, late copies neither.
    Discard,
    /// Takes a discard back: the failed message is dead again, or in the order of its key where it has not run yet. Later
    /// messages of its key may have been applied meanwhile.
    Undo,
}

impl Action {
    /// Returns the word that the audit, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Undo => "undo",
        }
    }

    /// Returns the state that the act leads to from `state`, or `None` where it does nothing. What is brought back before it
    /// has run once does not die of it: see [`StateMachine::act`](super::Standing::act).
    pub fn of(self, state: FailedMessageState) -> Option<FailedMessageState> {
        match self {
            Self::Retry => (state == FailedMessageState::Dead).then_some(FailedMessageState::RetryRequested),
            Self::Discard => state.is_open().then_some(FailedMessageState::Discarded),
            Self::Undo => (state == FailedMessageState::Discarded).then_some(FailedMessageState::Dead),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of an act on one failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// It was done.
    Done,
    /// There is no failed message of this number.
    NotFound,
    /// The failed message is in a state in which the act does nothing: somebody else was quicker, or it was never possible. Dead
    /// where a retry was asked for: a broker kept it, and nobody said where it goes back to.
    WrongState(FailedMessageState),
    /// Retention had taken the message's marker, and a late copy was settled since: the act would contradict that.
    Settled,
}

impl ActionResult {
    /// Turns what was not done into an error that says why.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::WrongState`], with the failed message's number.
    pub fn done(self, act: Action, failed_message: i64) -> Result<(), Error> {
        let text = match self {
            Self::Done => return Ok(()),
            Self::NotFound => return Err(no_failed_message(failed_message)),
            // The only reason why a failed message is not retried.
            Self::WrongState(FailedMessageState::Dead) if act == Action::Retry => format!(
                "failed message {failed_message} has no way back, as its error tells: publish its message by hand, then discard it"
            ),
            Self::Settled => format!(
                "message of failed message {failed_message} was settled by a late copy since: nothing is left to {act}"
            ),
            Self::WrongState(FailedMessageState::Blocked) if act == Action::Retry => {
                format!(
                    "failed message {failed_message} waits for an earlier one of its key: retry or discard that one"
                )
            }
            Self::WrongState(state) => {
                let needed = match act {
                    Action::Retry => "only a dead one can be retried",
                    Action::Discard => "only an open one can be discarded",
                    Action::Undo => "only a discarded one can be brought back",
                };
                format!("failed message {failed_message} is {state}: {needed}")
            }
        };
        Err(Error::new(ErrorKind::WrongState, text))
    }
}

/// The error of every desk for a number that no failed message has.
pub fn no_failed_message(failed_message: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no failed message {failed_message}"))
}

/// Who acts: written into the audit in the transaction of the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name of the token, or of the user who runs the command.
    pub name: String,
    /// Where the act came in: `cli`, `http`.
    pub through: String,
    /// The request, where there was one.
    pub request_id: Option<String>,
}

impl Operator {
    /// Makes one.
    pub fn new(name: impl Into<String>, through: impl Into<String>) -> Self {
        Self { name: name.into(), through: through.into(), request_id: None }
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
            "failed message 7 is retry_requested: only a dead one can be retried"
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
        assert!(ActionResult::Done.done(Action::Retry, 7).is_ok());
    }
}
