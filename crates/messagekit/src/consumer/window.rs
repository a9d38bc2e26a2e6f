//! How old a message may be to be recognised as one that was handled before.

use std::time::Duration;

use jiff::Timestamp;

use crate::Message;
use crate::message::headers;
use crate::store::{Failure, FailureKind};

/// Returns why a message is not handled: it was written longer ago than `window`, by the database clock of its outbox row,
/// which every hop passes on. Markers are kept for as long, so nobody could say whether it was applied. What does not say
/// when it was written is not judged: the clocks of brokers begin anew with each hop.
pub(super) fn outside(window: Option<Duration>, message: &Message, now: Timestamp) -> Option<Failure> {
    let window = window?;
    let created = message.headers.get(headers::CREATED_AT)?;
    let created: Timestamp = std::str::from_utf8(created).ok()?.parse().ok()?;
    let age = Duration::try_from(now.duration_since(created)).ok()?;
    (age > window).then(|| {
        let text = format!(
            "written at {created}, longer ago than the window of {window:?}: it may have been applied before"
        );
        Failure::permanent(FailureKind::OutsideWindow, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn judged(created: &str) -> bool {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().expect("a time");
        let message = Message::new("orders.order", "").with_header(headers::CREATED_AT, created.to_owned());
        outside(Some(30 * DAY), &message, now).is_some()
    }

    #[test]
    fn the_window_ends_to_the_moment() {
        assert!(!judged("2026-03-01T12:00:00Z"));
        assert!(judged("2026-03-01T11:59:59.999999Z"));
        assert!(judged("1999-12-31T23:59:59Z"));
    }

    #[test]
    fn what_says_no_time_or_nonsense_or_is_from_the_future_is_not_judged() {
        assert!(!judged("yesterday"));
        assert!(!judged(""));
        assert!(!judged("2031-01-01T00:00:00Z"));
        assert!(outside(Some(DAY), &Message::new("orders.order", ""), Timestamp::now()).is_none());
    }

    #[test]
    fn without_a_window_everything_is_young() {
        let message =
            Message::new("orders.order", "").with_header(headers::CREATED_AT, "1999-12-31T23:59:59Z");
        assert!(outside(None, &message, Timestamp::now()).is_none());
    }
}
