//! The desk where people look at dead letters and decide.

mod act;
mod letter;
mod standing;
#[cfg(test)]
mod standing_tests;
mod state;

pub use act::{Act, Acted, Actor, no_letter};
pub use letter::{DeadLetter, LetterFilter, LetterGroup, LetterHead, LetterTotal};
pub use standing::Standing;
pub use state::{LetterState, Origin};

use crate::Error;
use crate::store::BoxFuture;

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
    ) -> BoxFuture<'a, Result<Vec<LetterHead>, Error>>;

    /// Returns the numbers of at most `limit` letters, smallest first: the pages of a selection that is acted on.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn ids<'a>(&'a self, filter: &'a LetterFilter, limit: u32) -> BoxFuture<'a, Result<Vec<i64>, Error>>;

    /// Returns one letter, with its message.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none of this number.
    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>>;

    /// Counts the letters of a filter, by consumer and state, in that order.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn totals<'a>(&'a self, filter: &'a LetterFilter) -> BoxFuture<'a, Result<Vec<LetterTotal>, Error>>;

    /// Returns at most `limit` groups of letters that failed alike, the largest first.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, Error>>;

    /// Acts on letters and answers for each, in the order of `ids`, which are distinct. The letters, their markers and one
    /// row of the audit are one transaction; the row is written also when nothing was done.
    ///
    /// A retried letter of a consumer runs in the process that consumes.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing was done then.
    fn act<'a>(&'a self, act: Act, ids: &'a [i64], by: &'a Actor)
    -> BoxFuture<'a, Result<Vec<Acted>, Error>>;
}
