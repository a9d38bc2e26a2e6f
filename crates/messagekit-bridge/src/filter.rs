//! Queries and updates the duplicate filter in batches.

use std::sync::Arc;
use std::task::{Context, Poll};

use messagekit::adapter::{BoxFuture, Lane};
use messagekit::{Error, MessageId};

use super::Duplicates;
use super::job::Job;

/// A message that waits for the filter's result.
pub(super) struct Lookup {
    pub(super) lane: Lane,
    pub(super) position: u64,
    pub(super) job: Job,
}

/// A forwarded message without a marker.
pub(super) struct Marked {
    pub(super) lane: Lane,
    pub(super) position: u64,
    id: MessageId,
}

/// Result of a filter operation.
pub(super) enum Filtered {
    /// Whether each message was forwarded before.
    Known(Vec<(Lookup, bool)>),
    /// These messages have markers.
    Marked(Vec<Marked>),
    /// The query failed: repeat it after a delay.
    LookUpLater(Error, u32),
    /// The update failed: repeat it after a delay.
    MarkLater(Error, u32),
}

/// Runs at most one query and one update at a time; later messages form the next batch.
pub(super) struct Filter {
    duplicates: Arc<dyn Duplicates>,
    lookups: Line<Lookup, Vec<bool>>,
    marking: Line<Marked, ()>,
}

/// A batch of messages and the filter's result for it.
type Answer<T, R> = BoxFuture<'static, (Vec<T>, Result<R, Error>)>;

/// An error, and the number of errors in a row.
struct Outage(Error, u32);

struct Line<T, R> {
    waiting: Vec<T>,
    in_flight: Option<Answer<T, R>>,
    /// Whether it waits for a timer.
    rests: bool,
    outages: u32,
}

impl<T, R> Default for Line<T, R> {
    fn default() -> Self {
        Self { waiting: Vec::new(), in_flight: None, rests: false, outages: 0 }
    }
}

impl<T: Send + 'static, R: Send + 'static> Line<T, R> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        begin: impl FnOnce(Vec<T>) -> Answer<T, R>,
    ) -> Poll<Result<(Vec<T>, R), Outage>> {
        if self.rests || (self.in_flight.is_none() && self.waiting.is_empty()) {
            return Poll::Pending;
        }
        let in_flight = match &mut self.in_flight {
            Some(in_flight) => in_flight,
            none => none.insert(begin(std::mem::take(&mut self.waiting))),
        };
        let Poll::Ready((mut messages, answer)) = in_flight.as_mut().poll(cx) else { return Poll::Pending };
        self.in_flight = None;
        Poll::Ready(match answer {
            Ok(answer) => {
                self.outages = 0;
                Ok((messages, answer))
            }
            Err(error) => {
                messages.append(&mut self.waiting);
                self.waiting = messages;
                (self.rests, self.outages) = (true, self.outages + 1);
                Err(Outage(error, self.outages))
            }
        })
    }
}

impl Filter {
    pub(super) fn new(duplicates: Arc<dyn Duplicates>) -> Self {
        Self { duplicates, lookups: Line::default(), marking: Line::default() }
    }

    pub(super) fn look_up(&mut self, lookup: Lookup) {
        self.lookups.waiting.push(lookup);
    }

    pub(super) fn mark(&mut self, lane: Lane, position: u64, id: MessageId) {
        self.marking.waiting.push(Marked { lane, position, id });
    }

    pub(super) fn look_up_again(&mut self) {
        self.lookups.rests = false;
    }

    pub(super) fn mark_again(&mut self) {
        self.marking.rests = false;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Filtered> {
        let duplicates = &self.duplicates;
        let known = self.lookups.poll(cx, |lookups| {
            let duplicates = Arc::clone(duplicates);
            Box::pin(async move {
                let ids: Vec<MessageId> =
                    lookups.iter().filter_map(|lookup| lookup.job.id().cloned()).collect();
                let known = duplicates.known(&ids).await;
                (lookups, known)
            })
        });
        match known {
            Poll::Ready(Ok((lookups, known))) => {
                return Poll::Ready(Filtered::Known(lookups.into_iter().zip(known).collect()));
            }
            Poll::Ready(Err(Outage(error, outages))) => {
                return Poll::Ready(Filtered::LookUpLater(error, outages));
            }
            Poll::Pending => {}
        }
        let marked = self.marking.poll(cx, |marked| {
            let duplicates = Arc::clone(duplicates);
            Box::pin(async move {
                let ids: Vec<MessageId> = marked.iter().map(|marked| marked.id.clone()).collect();
                let done = duplicates.mark(&ids).await;
                (marked, done)
            })
        });
        marked.map(|marked| match marked {
            Ok((marked, ())) => Filtered::Marked(marked),
            Err(Outage(error, outages)) => Filtered::MarkLater(error, outages),
        })
    }
}
