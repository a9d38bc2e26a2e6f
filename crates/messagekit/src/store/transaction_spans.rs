//! The spans of a consumer's transaction: they are exported when its outcome is known.
//!
//! A span that has ended cannot be changed, and a rollback comes after the spans of the handlers and events that it undoes. So the
//! transaction holds them. A span ends when it was left last: holding it does not make it longer.

use std::fmt;
use std::future::Future;
use std::ptr::from_ref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Span;

use crate::telemetry::telemetry;

/// Maximum number of held spans of a transaction, which bounds its memory. Those beyond it are exported as they end.
const MAX_HELD: usize = 1_000;

/// A commit whose answer was lost: everything was kept, or nothing.
const UNKNOWN: &str = "unknown";
/// A run that was dropped, or cut off by a stop.
pub(crate) const CUT_OFF: &str = "cut_off";

tokio::task_local! {
    /// The transaction of the running handler, with the address of its handle.
    static RUNNING: (usize, TransactionSpans);
}

/// The spans of one transaction. Clones share them; without telemetry it holds nothing.
#[derive(Clone, Debug)]
pub(crate) struct TransactionSpans(Option<Arc<Held>>);

#[derive(Debug, Default)]
struct Held {
    spans: Mutex<Vec<Span>>,
    commit_begins: AtomicBool,
}

impl TransactionSpans {
    pub(crate) fn new() -> Self {
        Self(telemetry().map(|_| Arc::default()))
    }

    /// Holds a span of a handler's run.
    pub(crate) fn hold(&self, span: &Span) {
        if let Some(held) = self.0.as_ref().filter(|_| !span.is_disabled()) {
            let mut spans = held.spans.lock().unwrap_or_else(PoisonError::into_inner);
            if spans.len() < MAX_HELD {
                spans.push(span.clone());
            }
        }
    }

    /// Runs a handler over `tx`, so that the spans of the events that it adds to it are held too.
    pub(crate) async fn around<F: Future>(&self, tx: usize, handling: F) -> F::Output {
        RUNNING.scope((tx, self.clone()), handling).await
    }

    /// Records that the transaction is committed next: if it gives no answer, its outcome is unknown.
    pub(crate) fn commit_begins(&self) {
        self.0.iter().for_each(|held| held.commit_begins.store(true, Ordering::Relaxed));
    }

    /// Ends the spans of a committed transaction.
    pub(crate) fn committed(&self) {
        self.0.iter().for_each(|held| drop(held.take()));
    }

    /// Ends the spans of a transaction that was rolled back, with its cause.
    pub(crate) fn rolled_back(&self, cause: &dyn fmt::Display) {
        self.0.iter().for_each(|held| held.roll_back(cause));
    }

    /// Ends the spans of a transaction whose commit was not answered.
    pub(crate) fn unknown(&self) {
        self.rolled_back(&UNKNOWN);
    }
}

impl Held {
    fn take(&self) -> Vec<Span> {
        std::mem::take(&mut self.spans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn roll_back(&self, cause: &dyn fmt::Display) {
        for span in self.take() {
            span.record("otel.status_code", "error");
            span.record("otel.status_description", format_args!("rolled back: {cause}"));
            span.record("messagekit.rolled_back", format_args!("{cause}"));
        }
    }
}

/// A transaction without a reported outcome was dropped.
impl Drop for Held {
    fn drop(&mut self) {
        let cause = if self.commit_begins.load(Ordering::Relaxed) { UNKNOWN } else { CUT_OFF };
        self.roll_back(&cause);
    }
}

/// Returns what [`around`](TransactionSpans::around) and [`hold_event`] know a transaction by.
pub(crate) fn address<Tx>(tx: &Tx) -> usize {
    from_ref(tx).addr()
}

/// Holds the span of an event, if the running handler adds it to its own transaction. An event of another one has another outcome.
pub(super) fn hold_event<Tx>(tx: &Tx, span: &Span) {
    if span.is_disabled() {
        return;
    }
    // Without a running handler, the span ends as it is dropped.
    let _ = RUNNING.try_with(|(running, spans)| {
        if *running == address(tx) {
            // Its end is the time at which it was left.
            span.in_scope(|| ());
            spans.hold(span);
        }
    });
}
