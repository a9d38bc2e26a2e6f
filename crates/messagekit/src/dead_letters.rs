//! The desk where people look at dead letters.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::store::{BoxFuture, Received};
use crate::{Error, ErrorKind};

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LetterState {
    /// The consumer runs it again when it is due.
    Retrying,
    /// Only a person brings it back.
    Dead,
    /// A person asked for one more run.
    Replaying,
    /// It was applied.
    Resolved,
}

impl LetterState {
    /// Every state, in the order a letter goes through them.
    pub const ALL: [Self; 4] = [Self::Retrying, Self::Dead, Self::Replaying, Self::Resolved];

    /// Returns the word that tables, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Dead => "dead",
            Self::Replaying => "replaying",
            Self::Resolved => "resolved",
        }
    }

    /// Returns whether the message is still to be applied.
    pub fn is_open(self) -> bool {
        self != Self::Resolved
    }
}

impl fmt::Display for LetterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LetterState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfiguration, format!("state {text:?} is none of {known}"))
        })
    }
}

/// A dead letter: a message kept whole, with what is known about its failure.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The letter's number in its database; later ones are greater.
    pub id: i64,
    /// The consumer that could not handle it.
    pub consumer: String,
    /// The message.
    pub received: Received,
    /// Where it stands.
    pub state: LetterState,
    /// How many runs of the handler have failed it.
    pub attempts: u32,
    /// How many runs ended without an answer: the process died, or the consumer's future was dropped.
    pub kills: u32,
    /// When it runs again, by database time; when leased, the end of the lease.
    pub due: Option<Timestamp>,
    /// The reason in one word, as [`FailureKind`](crate::FailureKind) spells it.
    pub kind: String,
    /// The error with its causes, in one line.
    pub error: String,
    /// Equal for failures that differ only in numbers.
    pub fingerprint: String,
    /// When it was set aside first.
    pub set_aside_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
}

/// Which letters to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Only those of this consumer.
    pub consumer: Option<String>,
    /// Only those in this state.
    pub state: Option<LetterState>,
    /// Only those of this event type.
    pub event_type: Option<String>,
    /// Only those with a smaller number: the last number of the page before.
    pub before: Option<i64>,
}

/// What an operator does with dead letters; every act is a compare-and-set, so that a second click changes nothing.
pub trait DeadLetters: Send + Sync {
    /// Returns at most `limit` letters, newest first.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>>;

    /// Returns one letter.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this number.
    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>>;

    /// Asks the consumer to run a dead letter once more: the handler runs in the process that consumes. Attempts and kills
    /// are counted from 0 again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this number; [`ErrorKind::WrongState`] with the state when it is not
    /// dead: it runs already, or was resolved.
    fn retry(&self, id: i64) -> BoxFuture<'_, Result<(), Error>>;
}
