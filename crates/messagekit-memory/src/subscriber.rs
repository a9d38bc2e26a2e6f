//! Member of a consumer of an in-memory log.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use messagekit::Error;
use messagekit::adapter::{Delivery, Done, Incoming, LagProbe, Lane, Receipt, Subscriber};

use super::group::{Group, News, Picked};
use super::lag::MemberLag;
use super::state::{Shared, State};

/// Represents a member of a consumer. Dropping it simulates a crash: other members get its lanes, and its unsettled
/// records are delivered again.
pub struct MemorySubscriber {
    log: Arc<Shared>,
    consumer: String,
    member: u64,
    closed: bool,
}

impl MemorySubscriber {
    pub(super) fn new(log: Arc<Shared>, consumer: String, member: u64) -> Self {
        Self { log, consumer, member, closed: false }
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.log.change(|state| group(state, &self.consumer).leave(self.member));
        }
    }

    /// Returns a receipt that ends a revoked lane when dropped, from any thread and possibly after this member is gone.
    fn done(&self, lane: Lane) -> Done {
        let (log, consumer) = (Arc::clone(&self.log), self.consumer.clone());
        Done::new(move || log.change(|state| group(state, &consumer).free(lane)))
    }
}

fn group<'a>(state: &'a mut State, consumer: &str) -> &'a mut Group {
    state.groups.get_mut(consumer).expect("binding made the group, and groups stay")
}

/// The result found under the lock. `Done` is created outside of it, because it locks when dropped.
enum Next {
    News(News),
    Message(Delivery),
}

fn look(state: &mut State, consumer: &str, member: u64, cx: &Context<'_>) -> Option<Next> {
    let group = state.groups.get_mut(consumer)?;
    if let Some(news) = group.next_news(member) {
        return Some(Next::News(news));
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
    Some(Next::Message(Delivery {
        message: record.message.clone(),
        position: Some(record.position.clone()),
        receipt,
    }))
}

impl Subscriber for MemorySubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.closed {
            return Poll::Ready(None);
        }
        let found = self.log.with(|state| look(state, &self.consumer, self.member, cx));
        let incoming = match found {
            None => return Poll::Pending,
            Some(Next::Message(delivery)) => Incoming::Message(delivery),
            Some(Next::News(News::Assigned(lane))) => {
                let name =
                    self.log.with(|state| group(state, &self.consumer).queue(lane.slot as usize).name());
                Incoming::Assigned { lane, name }
            }
            Some(Next::News(News::Revoking(lane))) => Incoming::Revoking { lane, done: self.done(lane) },
            Some(Next::News(News::Lost(lane))) => Incoming::Lost { lane },
        };
        Poll::Ready(Some(Ok(incoming)))
    }

    fn pause(&mut self, lane: Lane) {
        self.log.with(|state| group(state, &self.consumer).set_paused(self.member, lane, true));
    }

    fn resume(&mut self, lane: Lane) {
        self.log.change(|state| group(state, &self.consumer).set_paused(self.member, lane, false));
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.log.with(|state| {
            for receipt in done.drain(..) {
                group(state, &self.consumer).settle(self.member, &receipt);
            }
        });
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.log.change(|state| {
            let group = group(state, &self.consumer);
            back.drain(..).for_each(|receipt| group.release(self.member, &receipt));
        });
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        let (log, consumer) = (Arc::clone(&self.log), self.consumer.clone());
        Some(Arc::new(MemberLag { log, consumer, member: self.member }))
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::MemoryLog;
    use messagekit::adapter::{BoxFuture, NextOffset, Publisher, RememberedOffsets, Source};
    use messagekit::{Error, Message};

    async fn next(subscriber: &mut MemorySubscriber) -> Incoming {
        poll_fn(|cx| subscriber.poll_next(cx)).await.unwrap().unwrap()
    }

    async fn delivery(subscriber: &mut MemorySubscriber) -> Delivery {
        loop {
            if let Incoming::Message(delivery) = next(subscriber).await {
                return delivery;
            }
        }
    }

    async fn log_of(count: usize) -> MemoryLog {
        let log = MemoryLog::new(1);
        let batch: Vec<Message> =
            (0..count).map(|number| Message::new("orders", number.to_string())).collect();
        log.publish(&batch).await;
        log
    }

    fn offset(delivery: &Delivery) -> i64 {
        delivery.position.as_ref().map_or(-1, |position| position.offset)
    }

    #[tokio::test]
    async fn committed_is_the_end_of_the_contiguous_prefix() {
        let log = log_of(3).await;
        let mut member = log.topics(["orders"]).bind("billing", &[]).await.unwrap();
        let [a, b, c] =
            [delivery(&mut member).await, delivery(&mut member).await, delivery(&mut member).await];
        member.settle(&mut vec![c.receipt, a.receipt]);
        assert_eq!(log.committed("billing", "orders", 0), 1);
        member.settle(&mut vec![b.receipt]);
        assert_eq!(log.committed("billing", "orders", 0), 3);
    }

    #[tokio::test]
    async fn receipts_of_a_lost_lane_are_ignored() {
        let log = log_of(1).await;
        let mut member = log.topics(["orders"]).bind("billing", &[]).await.unwrap();
        let stale = delivery(&mut member).await;
        log.lose("billing");
        assert!(matches!(next(&mut member).await, Incoming::Lost { lane } if lane == stale.receipt.lane()));
        member.settle(&mut vec![stale.receipt]);
        assert_eq!(log.committed("billing", "orders", 0), 0);
        assert_eq!(offset(&delivery(&mut member).await), 0);
    }

    #[tokio::test]
    async fn redelivering_starts_at_the_first_record_again() {
        let log = log_of(2).await;
        let mut member = log.topics(["orders"]).bind("billing", &[]).await.unwrap();
        let settled = [delivery(&mut member).await, delivery(&mut member).await];
        member.settle(&mut settled.into_iter().map(|delivery| delivery.receipt).collect());
        log.redeliver("billing");
        assert_eq!(log.committed("billing", "orders", 0), 0);
        assert_eq!([offset(&delivery(&mut member).await), offset(&delivery(&mut member).await)], [0, 1]);
    }

    /// The database of a consumer that was primed.
    struct Primed;

    impl RememberedOffsets for Primed {
        fn next_of<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn is_primed(&self) -> BoxFuture<'_, Result<bool, Error>> {
            Box::pin(std::future::ready(Ok(true)))
        }
    }

    #[tokio::test]
    async fn positions_of_a_log_that_is_gone_do_not_count() {
        let log = log_of(5).await;
        let at = NextOffset { topic: Arc::from("orders"), partition: 0, key_lane: 0, next: 4 };
        let mut member = log.topics(["orders"]).bind("billing", &[at]).await.unwrap();
        assert_eq!(offset(&delivery(&mut member).await), 0);
    }

    #[tokio::test]
    async fn primed_consumer_begins_at_its_remembered_positions() {
        let log = log_of(5).await;
        let at = |key_lane, next| NextOffset { topic: Arc::from("orders"), partition: 0, key_lane, next };
        let first = async |consumer, remembered: &[NextOffset]| {
            let mut source = log.topics(["orders"]);
            source.consult(Arc::new(Primed));
            let mut member = source.bind(consumer, remembered).await.unwrap();
            let delivery = delivery(&mut member).await;
            (offset(&delivery), member)
        };
        assert_eq!(first("billing", &[at(0, 4), at(1, 2)]).await.0, 2);
        assert_eq!(first("billing", &[at(0, 4)]).await.0, 2, "it is known");
        assert_eq!(first("before", &[at(0, -1)]).await.0, 0);
        log.delete_before("orders", 0, 3);
        assert_eq!(first("stock", &[at(0, 1)]).await.0, 3);

        let mut source = log.topics(["orders"]);
        source.consult(Arc::new(Primed));
        let mut member = source.bind("behind", &[at(0, 9)]).await.unwrap();
        log.publish(&[Message::new("orders", "later")]).await;
        assert_eq!(offset(&delivery(&mut member).await), 5);
    }

    #[tokio::test]
    async fn a_topic_that_comes_later_is_assigned_then() {
        let log = MemoryLog::new(2);
        let mut member = log.topics(["orders"]).bind("billing", &[]).await.unwrap();
        log.publish(&[Message::new("orders", "0")]).await;
        assert!(matches!(next(&mut member).await, Incoming::Assigned { .. }));
        assert_eq!(offset(&delivery(&mut member).await), 0);
    }

    #[tokio::test]
    async fn records_deleted_before_their_delivery_are_passed_over() {
        let log = log_of(5).await;
        let mut member = log.topics(["orders"]).bind("billing", &[]).await.unwrap();
        let [a, b] = [delivery(&mut member).await, delivery(&mut member).await];
        member.release(&mut vec![a.receipt, b.receipt]);
        log.delete_before("orders", 0, 4);
        let last = delivery(&mut member).await;
        assert_eq!(offset(&last), 4);
        member.settle(&mut vec![last.receipt]);
        assert_eq!(log.committed("billing", "orders", 0), 5);
    }
}
