//! Calls of a handler for one record, until one succeeds or all have failed.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use messagekit::{Backoff, Shutdown, chain};

use crate::Message;
use crate::hooks::{BoxError, Failed, Hooks};
use crate::patience::pause_or_stop;

/// The longest delay of a record that is given back by default.
const MAX_DELAY: Duration = Duration::from_secs(60 * 60);

/// The longest that a server takes.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most bytes of an error that a server keeps.
const MAX_ERROR: usize = 1_000;

/// What became of a record here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Handled,
    /// It has failed with this error, and comes again after so many seconds.
    Failed {
        error: String,
        delay: u64,
    },
}

/// The rules by which a record is tried again in this process.
#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) most: u32,
    pub(crate) ack_on_failed: bool,
    pub(crate) hooks: Hooks,
    pauses: Backoff,
    delays: Backoff,
}

impl Default for Attempts {
    fn default() -> Self {
        let (pauses, delays) = backoffs(Duration::from_millis(300), 2.0, Duration::from_secs(5));
        Self { most: 3, ack_on_failed: true, hooks: Hooks::default(), pauses, delays }
    }
}

/// Pauses in this process, and delays of the server's, which begin where the pauses end.
fn backoffs(first: Duration, factor: f64, longest: Duration) -> (Backoff, Backoff) {
    let delays = Backoff::new(longest, factor, longest.max(MAX_DELAY).min(A_WEEK));
    (Backoff::new(first, factor, longest), delays)
}

impl Attempts {
    pub(crate) fn backoff(&mut self, first: Duration, factor: f64, longest: Duration) {
        (self.pauses, self.delays) = backoffs(first, factor, longest);
    }

    /// Calls the handler until it succeeds, at most `most` times, with pauses that a stop ends.
    pub(crate) async fn run<H, F, E>(&self, handler: &mut H, message: &Message, stop: &Shutdown) -> Outcome
    where
        H: FnMut(Message) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let mut attempt = 1;
        loop {
            let Err(error) = call(handler, message).await else { return Outcome::Handled };
            // The text of the error may quote the record.
            let (topic, offset) = (message.topic(), message.offset());
            tracing::warn!(topic, partition = message.partition(), offset, attempt, "handler has failed");
            self.hooks.error(message, &error, attempt);
            if attempt >= self.most {
                return self.last(message, &error).await;
            }
            let pause = self.pauses.delay(attempt);
            self.hooks.retry(message, &error, attempt, pause);
            if pause_or_stop(stop, pause).await {
                return Outcome::Failed { error: text(&error), delay: 0 };
            }
            attempt += 1;
        }
    }

    async fn last(&self, message: &Message, error: &Failed) -> Outcome {
        if self.hooks.failed(message, error).await && self.ack_on_failed {
            return Outcome::Handled;
        }
        let delay = self.delays.delay(message.attempt());
        Outcome::Failed { error: text(error), delay: delay.as_secs() + u64::from(delay.subsec_nanos() > 0) }
    }
}

/// Calls the handler once. A panic is an error like any other.
async fn call<H, F, E>(handler: &mut H, message: &Message) -> Result<(), Failed>
where
    H: FnMut(Message) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    let handling = async { handler(message.clone()).await };
    match AssertUnwindSafe(handling).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failed::from(error.into())),
        Err(_) => Err(Failed::from(BoxError::from("handler panicked"))),
    }
}

fn text(error: &Failed) -> String {
    let mut text = chain(&**error);
    text.truncate(text.floor_char_boundary(MAX_ERROR));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_where_pauses_end_and_stay_below_an_hour() {
        let (pauses, delays) = backoffs(Duration::from_millis(300), 2.0, Duration::from_secs(5));
        assert!(pauses.delay(40) <= Duration::from_secs(5));
        assert!(delays.delay(1) >= Duration::from_millis(2_500));
        assert!(delays.delay(40) <= MAX_DELAY);
        assert_eq!(backoffs(Duration::ZERO, 1.0, Duration::ZERO).1.delay(9), Duration::ZERO);
        assert!(backoffs(A_WEEK, 2.0, A_WEEK * 2).1.delay(9) <= A_WEEK);
    }

    #[test]
    fn a_long_error_is_cut_between_two_characters() {
        let error: Failed = Failed::from(BoxError::from(format!("a{}", "ü".repeat(4_000))));
        let text = text(&error);
        assert!(text.len() <= MAX_ERROR && text.ends_with('ü'), "{}", text.len());
    }
}
