//! The maximum age at which a message is recognised as a duplicate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::message::headers;
use crate::store::{Failure, FailureKind, Inbox};
use crate::{Error, Message};

/// The reach of deduplication: the configured window, limited to the time since which the consumer's markers are complete.
///
/// A longer window, or none, does not restore markers that were removed under the shorter one.
#[derive(Debug)]
pub(in crate::consumer) struct DedupWindow {
    length: Option<Duration>,
    /// Messages of any age are handled: positions say what was applied.
    takes_any: bool,
    /// The last answer of the database.
    complete_since: Mutex<Option<Timestamp>>,
}

impl DedupWindow {
    pub(in crate::consumer) fn new(length: Option<Duration>) -> Self {
        Self { length, takes_any: false, complete_since: Mutex::default() }
    }

    /// Returns the window of a priming, whose markers are kept as long as those of its consumer.
    pub(in crate::consumer) fn for_priming(&self) -> Self {
        Self { takes_any: true, ..Self::new(self.length) }
    }

    /// Returns the configured maximum age of a message.
    pub(in crate::consumer) fn length(&self) -> Option<Duration> {
        self.length
    }

    /// Records the window, so that later cleanups keep all markers inside it, and reads which markers are already removed.
    pub(in crate::consumer) async fn note<S: Inbox>(&self, store: &S, consumer: &str) -> Result<(), Error> {
        let complete_since = store.note_window(consumer, self.length).await?;
        let mut known = self.complete_since.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != complete_since
            && let Some(since) = complete_since
            && self.reaches_behind(since, Timestamp::now())
        {
            tracing::info!(
                consumer,
                %since,
                window = ?self.length,
                "markers were removed under a shorter window: messages written before that time are set aside"
            );
        }
        *known = complete_since;
        Ok(())
    }

    /// Returns whether the configured window includes messages whose markers are removed.
    fn reaches_behind(&self, complete_since: Timestamp, now: Timestamp) -> bool {
        self.length.is_none_or(|length| !is_older(length, complete_since, now))
    }

    /// Returns the reason why a message is not handled: it was written before the window, or before the consumer's markers are
    /// complete. It may have been applied before. The time is the database clock of its outbox row, which every hop passes on.
    /// A message without that time is not checked, because the clocks of brokers restart with each hop.
    pub(in crate::consumer) fn outside(&self, message: &Message, now: Timestamp) -> Option<Failure> {
        let complete_since = *self.complete_since.lock().unwrap_or_else(PoisonError::into_inner);
        if self.takes_any || self.length.is_none() && complete_since.is_none() {
            return None;
        }
        let created = message.headers.get(headers::CREATED_AT)?;
        let created: Timestamp = std::str::from_utf8(created).ok()?.parse().ok()?;
        let text = if let Some(length) = self.length.filter(|length| is_older(*length, created, now)) {
            format!(
                "written at {created}, longer ago than the window of {length:?}: it may have been applied before"
            )
        } else {
            let since = complete_since.filter(|since| created < *since)?;
            format!(
                "written at {created}, and markers are complete only since {since}: it may have been applied before, when the window was shorter"
            )
        };
        Some(Failure::permanent(FailureKind::OutsideWindow, text))
    }
}

fn is_older(length: Duration, created: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(created)).is_ok_and(|age| age > length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn written(created: &str) -> Message {
        Message::new("orders.order", "").with_header(headers::CREATED_AT, created.to_owned())
    }

    fn judged_by(window: &DedupWindow, message: &Message) -> Option<String> {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().expect("a time");
        window.outside(message, now).map(|failure| failure.error)
    }

    fn judged(created: &str) -> bool {
        judged_by(&DedupWindow::new(Some(30 * DAY)), &written(created)).is_some()
    }

    /// A window whose markers are complete since the middle of the month.
    fn cleaned(length: Option<Duration>) -> DedupWindow {
        let since = "2026-03-15T12:00:00Z".parse().expect("a time");
        DedupWindow { length, takes_any: false, complete_since: Mutex::new(Some(since)) }
    }

    #[test]
    fn the_window_ends_to_the_moment() {
        assert!(!judged("2026-03-01T12:00:00Z"));
        assert!(judged("2026-03-01T11:59:59.999999Z"));
        assert!(judged("1999-12-31T23:59:59Z"));
    }

    #[test]
    fn message_without_a_valid_past_time_is_inside_any_dedup_window() {
        assert!(!judged("yesterday"));
        assert!(!judged(""));
        assert!(!judged("2031-01-01T00:00:00Z"));
        let silent = Message::new("orders.order", "");
        for window in [DedupWindow::new(Some(DAY)), cleaned(Some(DAY)), cleaned(None)] {
            assert!(judged_by(&window, &silent).is_none());
        }
    }

    #[test]
    fn only_a_dedup_window_reaching_past_the_markers_is_logged() {
        let at = |text: &str| text.parse().expect("a time");
        let (since, now) = (at("2026-03-15T12:00:00Z"), at("2026-03-31T12:00:00Z"));
        for (length, reaches) in [(None, true), (Some(30 * DAY), true), (Some(7 * DAY), false)] {
            assert_eq!(DedupWindow::new(length).reaches_behind(since, now), reaches, "{length:?}");
        }
        assert!(
            DedupWindow::new(Some(DAY)).reaches_behind(at("2026-04-02T00:00:00Z"), now),
            "its clock was ahead"
        );
    }

    #[test]
    fn without_a_window_everything_is_young() {
        assert!(judged_by(&DedupWindow::new(None), &written("1999-12-31T23:59:59Z")).is_none());
    }

    #[test]
    fn message_before_complete_markers_is_outside_any_dedup_window() {
        for length in [None, Some(30 * DAY)] {
            let window = cleaned(length);
            let text = judged_by(&window, &written("2026-03-15T11:59:59.999999Z")).expect("outside");
            assert!(text.contains("complete only since 2026-03-15T12:00:00Z"), "{text}");
            assert_eq!(judged_by(&window, &written("2026-03-15T12:00:00Z")), None);
        }
        let text = judged_by(&cleaned(Some(DAY)), &written("2026-03-20T12:00:00Z")).expect("outside");
        assert!(text.contains("longer ago than the window"), "a shorter one goes on counting: {text}");
    }
}
