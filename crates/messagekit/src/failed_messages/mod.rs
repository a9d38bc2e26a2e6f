//! The desk where people look at failed messages and decide.

mod action;
mod failed_message;
mod state;
mod state_machine;
#[cfg(test)]
mod state_machine_tests;

pub use action::{Action, ActionResult, Operator, no_failed_message};
pub use failed_message::{
    FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageTotal,
};
pub use state::{FailedMessageState, Origin};
pub use state_machine::StateMachine;

use crate::Error;
use crate::store::BoxFuture;

/// What an operator does with failed messages; every act is a compare-and-set, so that a second click changes nothing.
pub trait FailedMessages: Send + Sync {
    /// Returns at most `limit` failed messages, newest first.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>>;

    /// Returns the numbers of at most `limit` failed messages, smallest first: the pages of a selection that is acted on.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn ids<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<i64>, Error>>;

    /// Returns one failed message, with its message.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none of this number.
    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>>;

    /// Counts the failed messages of a filter, by consumer and state, in that order.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>>;

    /// Returns at most `limit` groups of failed messages that failed alike, the largest first.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>>;

    /// Acts on failed messages and answers for each, in the order of `ids`, which are distinct. The failed messages, their
    /// markers and one row of the audit are one transaction; the row is written also when nothing was done.
    ///
    /// A retried failed message of a consumer runs in the process that consumes.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing was done then.
    fn act<'a>(
        &'a self,
        act: Action,
        ids: &'a [i64],
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>>;
}
