//! The documents of one database, from what its store has answered.

use messagekit::operations::{
    EventCursor, EventHead, FailedMessage, FailedMessageGroup, FailedMessageHead, FailedMessageTotal,
    ReplayCount, ReplayJob, RetryRunner,
};
use messagekit::relay::RejectedEvent;
use serde::Serialize;
use serde_json::Value;

use crate::failed_messages::{FailedMessageDetail, FailedMessagePage, Groups, RetryRunnerView, Totals};
use crate::rejected::RejectedPage;
use crate::replay::{CountView, EventPage, JobPage, JobView};

/// Makes the documents that the routes of an [`Admin`](crate::Admin) serve to a reader, for a program that asks the store
/// itself: both write the same types.
///
/// `next` of a page is the position at which the next page begins, not a link.
///
/// ```
/// use messagekit_admin::Documents;
///
/// let page = Documents::of("shop").failed_messages(Vec::new(), Some(7));
/// assert_eq!(page["next"], "7");
/// ```
#[derive(Clone, Debug)]
pub struct Documents {
    database: String,
}

impl Documents {
    /// Creates the documents of the database of this name.
    pub fn of(database: impl Into<String>) -> Self {
        Self { database: database.into() }
    }

    /// Returns the document of `GET /api/v1/dlq`.
    pub fn failed_messages(&self, heads: Vec<FailedMessageHead>, next: Option<i64>) -> Value {
        document(FailedMessagePage::of(&self.database, heads, next))
    }

    /// Returns the document of `GET /api/v1/dlq/totals`.
    pub fn failed_message_totals(&self, totals: Vec<FailedMessageTotal>) -> Value {
        document(Totals::of(&self.database, totals))
    }

    /// Returns the document of `GET /api/v1/dlq/groups`.
    pub fn failed_message_groups(&self, groups: Vec<FailedMessageGroup>) -> Value {
        document(Groups::of(&self.database, groups))
    }

    /// Returns the document of `GET /api/v1/dlq/{id}`, with the whole payload.
    pub fn failed_message(&self, failed_message: FailedMessage) -> Value {
        document(FailedMessageDetail::whole(&self.database, failed_message))
    }

    /// Returns `runner` of the document of `POST /api/v1/dlq/{id}/retry`.
    pub fn retry_runner(runner: RetryRunner) -> Value {
        document(RetryRunnerView::from(runner))
    }

    /// Returns the document of `GET /api/v1/replay/events`.
    pub fn stored_events(&self, events: Vec<EventHead>, next: Option<&EventCursor>) -> Value {
        document(EventPage::of(&self.database, events, next))
    }

    /// Returns the document of `GET /api/v1/replay`.
    pub fn replays(&self, jobs: Vec<ReplayJob>, next: Option<i64>) -> Value {
        document(JobPage::of(&self.database, jobs, next))
    }

    /// Returns the document of `GET /api/v1/replay/{id}`.
    pub fn replay(&self, job: ReplayJob) -> Value {
        document(JobView::of(&self.database, job))
    }

    /// Returns the document of `POST /api/v1/replay/count`.
    pub fn replay_count(&self, count: ReplayCount) -> Value {
        document(CountView::of(&self.database, count))
    }

    /// Returns the document of `GET /api/v1/outbox/rejected`.
    pub fn rejected_events(&self, events: Vec<RejectedEvent>, next: Option<i64>) -> Value {
        document(RejectedPage::of(&self.database, events, next))
    }
}

fn document(view: impl Serialize) -> Value {
    serde_json::to_value(view).expect("the names of a view are texts")
}
