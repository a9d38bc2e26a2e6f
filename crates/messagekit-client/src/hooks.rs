//! What a program hears of failures.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Message;

/// An error of a program.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The error of a handler, which hooks share.
pub(crate) type Failed = Arc<dyn StdError + Send + Sync>;

type Noted = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type OnError = dyn Fn(&Message, &(dyn StdError + Send + Sync), u32) + Send + Sync;
type OnRetry = dyn Fn(&Message, &(dyn StdError + Send + Sync), u32, Duration) + Send + Sync;
type OnFailed = dyn Fn(Message, Failed) -> Noted + Send + Sync;

/// Functions of the program that are called at failures.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) on_error: Option<Arc<OnError>>,
    pub(crate) on_retry: Option<Arc<OnRetry>>,
    pub(crate) on_failed: Option<Arc<OnFailed>>,
}

impl Hooks {
    /// An attempt has failed.
    pub(crate) fn error(&self, message: &Message, error: &Failed, attempt: u32) {
        if let Some(hook) = &self.on_error {
            hook(message, &**error, attempt);
        }
    }

    /// There will be another attempt after the pause.
    pub(crate) fn retry(&self, message: &Message, error: &Failed, attempt: u32, pause: Duration) {
        if let Some(hook) = &self.on_retry {
            hook(message, &**error, attempt, pause);
        }
    }

    /// There will be no other attempt of this delivery. Returns whether the program has noted the failure.
    pub(crate) async fn failed(&self, message: &Message, error: &Failed) -> bool {
        let Some(hook) = &self.on_failed else { return false };
        let noted = hook(message.clone(), error.clone()).await;
        if noted.is_err() {
            tracing::error!(topic = message.topic(), offset = message.offset(), "on_failed has failed");
        }
        noted.is_ok()
    }
}
