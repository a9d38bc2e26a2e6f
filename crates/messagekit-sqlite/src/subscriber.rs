//! A consumer's subscriber of topics in this file.

mod beginning;
mod feed;
mod lag;
mod link;
mod unsettled;
mod wake;

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use messagekit::Error;
use messagekit::adapter::{Delivery, Incoming, LagProbe, Lane, Receipt, Subscriber};

pub(crate) use self::beginning::Beginning;
use self::lag::LaneLag;
use self::link::{Happening, Link};
use self::unsettled::Unsettled;
use crate::SqliteStore;

/// Receives the records of topics in one file for a consumer, in one lane that keeps the order of each partition.
///
/// One subscriber at a time works for a consumer's name, in this process or another. The others stand by. One of them
/// takes over within a tenth of a second when the active one is closed or dropped, or its process dies. A separate thread
/// reads ahead of the handlers, at most 512 messages or 8 MiB. Records of this process arrive at once, those of other
/// processes within 5 ms, or 50 ms when the file was idle for a while.
///
/// A consumer without a cursor in a partition begins at the position that the file has recorded for it, and otherwise at the earliest
/// record, or the first one [since a time](crate::SqliteSource::since). Positions of another store count when the consumer is new to the
/// file: later, they could be those of a topic that was dropped.
///
/// With a store in the same file, a consumer moves its cursor in the transaction of its effects, and settling writes
/// nothing. With another store, settling moves the cursor past the messages that are settled without a gap.
#[derive(Debug)]
pub struct SqliteSubscriber {
    link: Arc<Link>,
    topics: Vec<Arc<str>>,
    lane: Option<Lane>,
    unsettled: Unsettled,
}

impl SqliteSubscriber {
    pub(crate) fn start(
        store: SqliteStore,
        consumer: Arc<str>,
        topics: Vec<Arc<str>>,
        beginning: Beginning,
    ) -> Result<Self, Error> {
        let link = Arc::new(Link::new(store, consumer));
        feed::start(&link, topics.clone(), beginning)?;
        Ok(Self { link, topics, lane: None, unsettled: Unsettled::default() })
    }

    /// Drops the state of a lane that is over.
    fn leave_lane(&mut self) {
        self.lane = None;
        self.unsettled.forget();
    }
}

impl Subscriber for SqliteSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        let Some(happening) = ready!(self.link.poll_next(cx)) else { return Poll::Ready(None) };
        Poll::Ready(Some(happening.map(|happening| match happening {
            Happening::Assigned(lane) => {
                self.leave_lane();
                self.lane = Some(lane);
                Incoming::Assigned { lane, name: Arc::from("") }
            }
            Happening::Lost(lane) => {
                self.leave_lane();
                Incoming::Lost { lane }
            }
            Happening::Arrived(lane, arrival) => {
                let sequence = self.unsettled.delivered(arrival.position.clone());
                let receipt = Receipt::new(lane, sequence);
                Incoming::Message(Delivery {
                    message: arrival.message,
                    position: Some(arrival.position),
                    receipt,
                })
            }
        })))
    }

    fn pause(&mut self, lane: Lane) {
        self.link.pause(lane, true);
    }

    fn resume(&mut self, lane: Lane) {
        self.link.pause(lane, false);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        let Some(lane) = self.lane else { return done.clear() };
        for receipt in done.drain(..) {
            if receipt.lane() == lane {
                self.unsettled.settled(receipt.position());
            }
        }
        // Usually the cursor is there already, moved in the transaction that handled the messages.
        let mut moves = self.unsettled.take_finished();
        moves.retain(|wanted| {
            let cursor = self.link.binding().cursor(&wanted.topic, wanted.partition);
            cursor.is_some_and(|cursor| cursor.next < wanted.next)
        });
        if !moves.is_empty() {
            self.link.order_moves(lane, moves);
        }
    }

    /// Releases the lane. It yields [`Lost`](Incoming::Lost) next, and then a new lane from the cursor on.
    fn release(&mut self, back: &mut Vec<Receipt>) {
        let lane = self.lane.filter(|lane| back.iter().any(|receipt| receipt.lane() == *lane));
        back.clear();
        if let Some(lane) = lane {
            self.leave_lane();
            self.link.rewind(lane);
        }
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        Some(Arc::new(LaneLag { link: Arc::clone(&self.link), topics: self.topics.clone() }))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.leave_lane();
        self.link.poll_close(cx)
    }
}

/// Releases the consumer's name at once. Messages that are settled but not yet durable are delivered again.
impl Drop for SqliteSubscriber {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::{Duration, Instant};

    use messagekit::adapter::{Publisher, Source};
    use messagekit::{Message, Store};
    use messagekit_testkit::eventually;

    use super::*;
    use crate::name_lock::{self, NameLock};

    const DEADLINE: Duration = Duration::from_secs(60);

    async fn append(store: &SqliteStore, count: usize, payload: usize) {
        let batch: Vec<_> = (0..count).map(|_| Message::new("t", vec![0; payload])).collect();
        assert!(store.publisher().publish(&batch).await.iter().all(Result::is_ok));
    }

    async fn full(subscriber: &SqliteSubscriber) -> (usize, usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !subscriber.link.is_full() {
            assert!(Instant::now() < deadline, "the reader does not stop");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        subscriber.link.waiting()
    }

    /// The thread waits for the file's writer when the close comes. Nothing was settled, so nothing is lost.
    #[tokio::test]
    async fn a_close_succeeds_in_an_outage_if_nothing_was_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let owner = SqliteStore::options().transaction_timeout(DEADLINE).open(&path).await.unwrap();
        let mut tx = owner.begin().await.unwrap();
        tx.call(|conn| conn.execute_batch("CREATE TABLE held (x)")).await.unwrap();

        let other = SqliteStore::options().busy_timeout(Duration::from_secs(1));
        let other = other.open(&path).await.unwrap();
        let mut subscriber = other.topics(["t"]).bind("billing", &[]).await.unwrap();
        let name = name_lock::file_of(&path, "billing");
        eventually("the thread to work", DEADLINE, async || NameLock::try_take(&name).unwrap().is_none())
            .await;
        poll_fn(|cx| subscriber.poll_close(cx)).await.unwrap();
        drop(tx);
    }

    #[tokio::test]
    async fn the_read_ahead_is_bounded_in_messages_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
        append(&store, 1_500, 10).await;
        let mut subscriber = store.topics(["t"]).bind("small", &[]).await.unwrap();
        assert_eq!(full(&subscriber).await.0, 512);
        for _ in 0..1_501 {
            let incoming = poll_fn(|cx| subscriber.poll_next(cx)).await;
            assert!(incoming.is_some_and(|incoming| incoming.is_ok()));
        }

        append(&store, 20, 800_000).await;
        let (messages, bytes) = full(&subscriber).await;
        assert!(messages < 20 && bytes < 9 * 1024 * 1024, "{messages} messages of {bytes} bytes");
        for _ in 0..20 {
            let incoming = poll_fn(|cx| subscriber.poll_next(cx)).await;
            assert!(incoming.is_some_and(|incoming| incoming.is_ok()));
        }
    }
}
