//! A member of a consumer of a log in memory.

use std::fmt;
use std::task::{Context, Poll};

use super::MemoryLog;
use super::group::{Group, News, Picked};
use super::state::State;
use crate::Error;
use crate::transport::{Delivery, Done, Incoming, Lane, Receipt, Subscriber};

/// A member of a consumer. Dropping it is the death of its process: its lanes go to the others, and what it had not
/// settled is delivered again.
pub struct MemorySubscriber {
    log: MemoryLog,
    consumer: String,
    member: u64,
    closed: bool,
}

impl MemorySubscriber {
    pub(super) fn new(log: MemoryLog, consumer: String, member: u64) -> Self {
        Self { log, consumer, member, closed: false }
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.log.shared().change(|state| group(state, &self.consumer).leave(self.member));
        }
    }

    /// Ends a revoked lane from whichever thread drops the receipt of the news, perhaps after this member is gone.
    fn done(&self, lane: Lane) -> Done {
        let (log, consumer) = (self.log.clone(), self.consumer.clone());
        Done::new(move || log.shared().change(|state| group(state, &consumer).free(lane)))
    }
}

fn group<'a>(state: &'a mut State, consumer: &str) -> &'a mut Group {
    state.groups.get_mut(consumer).expect("binding made the group, and groups stay")
}

/// What was found under the lock; `Done` is made outside of it, because it locks when dropped.
enum Found {
    News(News),
    Message(Delivery),
}

fn look(state: &mut State, consumer: &str, member: u64, cx: &Context<'_>) -> Option<Found> {
    let group = state.groups.get_mut(consumer)?;
    if let Some(news) = group.next_news(member) {
        return Some(Found::News(news));
    }
    let partition = |topic: &str, index: usize| &state.topics[topic].partitions[index];
    let kept = |topic: &str, index: usize| {
        let partition = partition(topic, index);
        partition.start as u64..partition.end() as u64
    };
    let Some(Picked { slot, offset, receipt }) = group.pick(member, kept) else {
        group.wait(member, cx.waker());
        return None;
    };
    let queue = group.queue(slot);
    let record = &partition(&queue.topic, queue.partition).from(offset as usize)[0];
    Some(Found::Message(Delivery {
        message: record.message.clone(),
        place: Some(record.place.clone()),
        receipt,
    }))
}

impl Subscriber for MemorySubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.closed {
            return Poll::Ready(None);
        }
        let found = self.log.shared().with(|state| look(state, &self.consumer, self.member, cx));
        let incoming = match found {
            None => return Poll::Pending,
            Some(Found::Message(delivery)) => Incoming::Message(delivery),
            Some(Found::News(News::Assigned(lane))) => Incoming::Assigned { lane },
            Some(Found::News(News::Revoking(lane))) => Incoming::Revoking { lane, done: self.done(lane) },
            Some(Found::News(News::Lost(lane))) => Incoming::Lost { lane },
        };
        Poll::Ready(Some(Ok(incoming)))
    }

    fn pause(&mut self, lane: Lane) {
        self.log.shared().with(|state| group(state, &self.consumer).set_paused(self.member, lane, true));
    }

    fn resume(&mut self, lane: Lane) {
        self.log.shared().change(|state| group(state, &self.consumer).set_paused(self.member, lane, false));
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.log.shared().with(|state| {
            for receipt in done.drain(..) {
                if !group(state, &self.consumer).settle(self.member, &receipt) {
                    state.stale_settles += 1;
                }
            }
        });
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.log.shared().change(|state| {
            let group = group(state, &self.consumer);
            back.drain(..).for_each(|receipt| group.release(self.member, &receipt));
        });
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.leave();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemorySubscriber {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for MemorySubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySubscriber")
            .field("consumer", &self.consumer)
            .field("member", &self.member)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
