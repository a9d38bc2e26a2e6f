//! One arm of a pipeline: a function from the records of a topic to those of another.

use std::error::Error as StdError;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use messagekit::adapter::{BoxFuture, FailureKind};
use messagekit::{Error as CoreError, ErrorKind, MessageId, headers};
use messagekit_topic_store::{NewRecord, TopicRecord};

use super::failure::Shown;
use crate::Error;
use crate::error::BoxError;
use crate::shared::Shared;

/// What a function makes of a record.
pub(crate) type Function<U> =
    Arc<dyn Fn(&TopicRecord) -> BoxFuture<'static, Result<Vec<U>, NoOutput>> + Send + Sync>;

/// Why a record has no output.
pub(crate) struct NoOutput {
    pub(crate) kind: FailureKind,
    pub(crate) error: Arc<dyn StdError + Send + Sync>,
}

impl NoOutput {
    pub(crate) fn failed(error: BoxError) -> Self {
        Self { kind: FailureKind::Failed, error: error.into() }
    }

    /// A record that does not have the type, or an output that its topic does not take.
    pub(crate) fn unfit(error: Error) -> Self {
        Self { kind: FailureKind::Failed, error: Arc::new(error) }
    }

    /// Returns the outage that the failure is, if it is one: it costs the record no attempt.
    pub(crate) fn outage(&self) -> Option<CoreError> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(&*self.error);
        while let Some(error) = next {
            let own = error.downcast_ref::<CoreError>();
            let is_transient = own.is_some_and(CoreError::is_transient)
                || error.downcast_ref::<Error>().is_some_and(Error::is_transient);
            if is_transient {
                let text = "pipeline cannot go on now: what its function needs is not available";
                return Some(
                    CoreError::new(ErrorKind::Unavailable, text).caused_by(Shown(self.error.clone())),
                );
            }
            next = error.source();
        }
        None
    }
}

/// An arm.
pub(crate) struct Arm<S> {
    pub(crate) shared: Shared<S>,
    pub(crate) source: Arc<str>,
    /// The consumer whose view of the source it works on.
    pub(crate) consumer: Arc<str>,
    pub(crate) target: Option<Arc<str>>,
    pub(crate) function: Function<NewRecord>,
}

impl<S: Clone> Clone for Arm<S> {
    fn clone(&self) -> Self {
        let Self { shared, source, consumer, target, function } = self;
        Self {
            shared: shared.clone(),
            source: source.clone(),
            consumer: consumer.clone(),
            target: target.clone(),
            function: function.clone(),
        }
    }
}

/// Returns the id of the event that a record is.
pub(crate) fn cause(found: &TopicRecord) -> Option<MessageId> {
    found.record.message.headers.text(headers::ID).map(MessageId::from_stored)
}

/// Awaits a function of the user. A panic is a failure of its record.
pub(crate) async fn guarded<T>(call: impl Future<Output = Result<T, BoxError>>) -> Result<T, NoOutput> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(outcome) => outcome.map_err(NoOutput::failed),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = format!("function panicked: {}", text.as_deref().unwrap_or("no text"));
            Err(NoOutput { kind: FailureKind::Panicked, error: BoxError::from(text).into() })
        }
    }
}
