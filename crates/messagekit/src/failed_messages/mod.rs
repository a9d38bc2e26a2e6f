//! Failed messages and the actions of operators on them.

mod action;
mod action_plan;
mod failed_message;
mod failed_run;
mod instance;
mod pace;
mod retry_runner;
mod selection;
mod state;
mod state_machine;
#[cfg(test)]
mod state_machine_tests;
mod state_reason;

pub use action::{Action, ActionResult, Operator, no_failed_message};
pub use action_plan::{ActionOrder, ActionPlan, ActionTarget, ChosenMessages};
pub use failed_message::{
    FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageTotal,
};
pub use failed_run::FailedRun;
pub use instance::instance;
pub use pace::Pace;
pub use retry_runner::RetryRunner;
pub use selection::{FailedMessageSelection, FailedMessageVersion, SelectionBatch};
pub use state::{FailedMessageState, Origin};
pub use state_machine::StateMachine;
pub use state_reason::StateReason;

use crate::Error;
use crate::store::BoxFuture;

/// Lists failed messages and applies operators' actions. Every action is a compare-and-set: a repeated action changes
/// nothing.
pub trait FailedMessages: Send + Sync {
    /// Returns at most `limit` failed messages, newest first.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>>;

    /// Returns the numbers and versions of at most `limit` failed messages, smallest number first: the pages of a
    /// [selection](FailedMessageSelection).
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn versions<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageVersion>, Error>>;

    /// Returns the numbers of at most `limit` failed messages, smallest first.
    ///
    /// # Errors
    /// As [`versions`](Self::versions).
    fn ids<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        Box::pin(
            async move { Ok(self.versions(filter, limit).await?.iter().map(|version| version.id).collect()) },
        )
    }

    /// Returns one failed message, including its message.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if this number does not exist. Transient if the database does
    /// not respond; a retry is useful.
    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>>;

    /// Counts the failed messages of a filter by consumer and state, in that order.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>>;

    /// Returns at most `limit` groups of failed messages with the same fingerprint, the largest first.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>>;

    /// Applies an action to failed messages and returns a result for each, in the order of [`ActionOrder::messages`].
    ///
    /// One transaction does all of it:
    /// - It refuses an operator that fails [`Operator::check`].
    /// - It locks the messages, reads an [`ActionTarget`] of each before it changes any, and moves those in [`ActionPlan::moves`]. A discard
    ///   makes the next message of a key due, so a later read would judge another state.
    /// - A move gives the message the state of [`StateMachine::act`] and a greater token. A retry is due after its delay, or at its planned
    ///   time if that is earlier.
    /// - A discard and its undo write the marker, also if retention has removed it, and let the key continue or block it.
    /// - It writes one row of the audit, with all numbers and how many messages were moved, also if none was.
    ///
    /// The consumer's own process runs a retried failed message of that consumer.
    ///
    /// # Errors
    /// Transient if the database does not respond; no action was applied, and the call can be repeated.
    fn apply<'a>(&'a self, order: ActionOrder<'a>) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>>;

    /// Applies an action to failed messages as [`apply`](Self::apply) does.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn act<'a>(
        &'a self,
        action: Action,
        ids: &'a [i64],
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        self.apply(ActionOrder::new(action, ids, operator))
    }

    /// Applies an action to one failed message as [`act`](Self::act) does, and returns the state that it has then, read in
    /// the action's transaction. What a message is after an undo depends on it and on its key, so no caller can know it
    /// otherwise.
    ///
    /// ```
    /// # use messagekit::operations::{Action, FailedMessages, Operator};
    /// # async fn undo(store: &impl FailedMessages) -> Result<(), messagekit::Error> {
    /// let state = store.act_on(Action::Undo, 7, &Operator::new("ann", "cli")).await?;
    /// println!("failed message 7 is {state}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`ActionResult::done`] if the action does not apply; the audit row is written. Transient if the database does
    /// not respond; no action was applied, and the call can be repeated.
    fn act_on<'a>(
        &'a self,
        action: Action,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>>;

    /// Applies [`Action::Retry`] as [`act`](Self::act) does, spread over time: of those that are accepted, in the order of
    /// `ids`, each is due at the delay of its rank after now, by the database's clock.
    ///
    /// # Errors
    /// As [`act`](Self::act).
    fn retry_at_pace<'a>(
        &'a self,
        ids: &'a [i64],
        pace: Pace,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        self.apply(ActionOrder { pace, ..ActionOrder::new(Action::Retry, ids, operator) })
    }

    /// Applies an action to a batch of a selection as [`act`](Self::act) does, retries at the pace if there is one. Each
    /// failed message is compared with the filter and with its version once more, under the locks of the action's
    /// transaction and before the first change. One that differs is [`ActionResult::Changed`] and is not touched.
    ///
    /// # Errors
    /// As [`act`](Self::act).
    fn act_on_selection<'a>(
        &'a self,
        action: Action,
        pace: Option<Pace>,
        batch: SelectionBatch<'a>,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let (messages, pace) = (ChosenMessages::Batch(batch), pace.unwrap_or_default());
        self.apply(ActionOrder { action, messages, pace, operator })
    }
}
