//! Retries of failed messages: the timer of the polls, the lease of a due message, and the transaction over its key.

mod poll;
mod run;
mod timer;

pub(super) use poll::{RetryOutcome, retry};
pub(super) use timer::RetryTimer;
