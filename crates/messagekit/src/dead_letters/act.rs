//! What a person does with a letter, and what is written down about it.

use std::fmt;

use super::LetterState;
use crate::{Error, ErrorKind};

/// What a person does with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Asks for one more run of a dead letter: attempts and kills are counted from 0 again.
    Retry,
    /// Gives an open letter up, also while it runs: its message is never applied, late copies neither.
    Discard,
    /// Takes a discard back: the letter is dead again, or in the order of its key where it has not run yet. Later messages of
    /// its key may have been applied meanwhile.
    Undo,
}

impl Act {
    /// Returns the word that the audit, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Undo => "undo",
        }
    }

    /// Returns the state that the act leads to from `state`, or `None` where it does nothing. What is brought back before it
    /// has run once does not die of it: see [`Standing::act`](super::Standing::act).
    pub fn of(self, state: LetterState) -> Option<LetterState> {
        match self {
            Self::Retry => (state == LetterState::Dead).then_some(LetterState::Replaying),
            Self::Discard => state.is_open().then_some(LetterState::Discarded),
            Self::Undo => (state == LetterState::Discarded).then_some(LetterState::Dead),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of an act on one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    /// It was done.
    Done,
    /// There is no letter of this number.
    NotFound,
    /// The letter is in a state in which the act does nothing: somebody else was quicker, or it was never possible. Dead
    /// where a retry was asked for: a broker kept it, and nobody said where it goes back to.
    WrongState(LetterState),
    /// Retention had taken the message's marker, and a late copy was settled since: the act would contradict that.
    Settled,
}

impl Acted {
    /// Turns what was not done into an error that says why.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::WrongState`], with the letter's number.
    pub fn done(self, act: Act, letter: i64) -> Result<(), Error> {
        let text = match self {
            Self::Done => return Ok(()),
            Self::NotFound => return Err(no_letter(letter)),
            // The only reason why a dead letter is not retried.
            Self::WrongState(LetterState::Dead) if act == Act::Retry => format!(
                "letter {letter} has no way back, as its error tells: publish its message by hand, then discard it"
            ),
            Self::Settled => format!(
                "message of letter {letter} was settled by a late copy since: nothing is left to {act}"
            ),
            Self::WrongState(LetterState::Waiting) if act == Act::Retry => {
                format!("letter {letter} waits for an earlier one of its key: retry or discard that one")
            }
            Self::WrongState(state) => {
                let needed = match act {
                    Act::Retry => "only a dead one can be retried",
                    Act::Discard => "only an open one can be discarded",
                    Act::Undo => "only a discarded one can be brought back",
                };
                format!("letter {letter} is {state}: {needed}")
            }
        };
        Err(Error::new(ErrorKind::WrongState, text))
    }
}

/// The error of every desk for a number that no letter has.
pub fn no_letter(letter: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no dead letter {letter}"))
}

/// Who acts: written into the audit in the transaction of the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of the token, or of the user who runs the command.
    pub name: String,
    /// Where the act came in: `cli`, `http`.
    pub through: String,
    /// The request, where there was one.
    pub request_id: Option<String>,
}

impl Actor {
    /// Makes one.
    pub fn new(name: impl Into<String>, through: impl Into<String>) -> Self {
        Self { name: name.into(), through: through.into(), request_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_says_which_letter_and_why() {
        let text = |acted: Acted, act| acted.done(act, 7).expect_err("not done").to_string();
        assert_eq!(text(Acted::NotFound, Act::Retry), "there is no dead letter 7");
        assert_eq!(
            text(Acted::WrongState(LetterState::Replaying), Act::Retry),
            "letter 7 is replaying: only a dead one can be retried"
        );
        assert_eq!(
            text(Acted::WrongState(LetterState::Resolved), Act::Discard),
            "letter 7 is resolved: only an open one can be discarded"
        );
        assert_eq!(
            text(Acted::WrongState(LetterState::Dead), Act::Undo),
            "letter 7 is dead: only a discarded one can be brought back"
        );
        assert_eq!(
            text(Acted::WrongState(LetterState::Waiting), Act::Retry),
            "letter 7 waits for an earlier one of its key: retry or discard that one"
        );
        let no_way_back = text(Acted::WrongState(LetterState::Dead), Act::Retry);
        assert!(no_way_back.starts_with("letter 7 has no way back"), "{no_way_back}");
        assert_eq!(
            text(Acted::Settled, Act::Undo),
            "message of letter 7 was settled by a late copy since: nothing is left to undo"
        );
        assert!(Acted::Done.done(Act::Retry, 7).is_ok());
    }
}
