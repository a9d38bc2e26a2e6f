//! A subscriber with deadlines, for cases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::{Delivery, Incoming, Lane, NextOffset, Receipt, Source, Subscriber};

use super::{TransportFixture, text};
use crate::DEADLINE;

/// A bound subscriber that checks the rules of the stream while it receives: messages arrive in assigned lanes only, and
/// positions grow.
pub struct Receiver<S> {
    subscriber: S,
    consumer: String,
    lanes: BTreeSet<Lane>,
    names: BTreeMap<Lane, Arc<str>>,
    last: BTreeMap<Lane, u64>,
    /// Delivered messages that are not part of a handled prefix: position to lane and whether it is handled.
    open: BTreeMap<(Arc<str>, i32, i64), (Lane, bool)>,
}

impl<S: Subscriber> Receiver<S> {
    /// Joins a consumer.
    ///
    /// # Panics
    /// Panics when the backend refuses.
    pub async fn bind<F>(fixture: &F, topics: &[Arc<str>], consumer: &str) -> Self
    where
        F: TransportFixture<Source: Source<Subscriber = S>>,
    {
        let bound = tokio::time::timeout(DEADLINE, fixture.source(topics).bind(consumer, &[])).await;
        let subscriber =
            bound.expect("bind answers before the deadline").expect("the consumer can be joined");
        Self::new(subscriber, consumer)
    }

    /// Wraps a subscriber that was bound elsewhere.
    pub fn new(subscriber: S, consumer: &str) -> Self {
        Self {
            subscriber,
            consumer: consumer.to_owned(),
            lanes: BTreeSet::new(),
            names: BTreeMap::new(),
            last: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// Returns the lanes that are assigned now.
    pub fn lanes(&self) -> &BTreeSet<Lane> {
        &self.lanes
    }

    /// Returns the name of a lane that is or was assigned.
    ///
    /// # Panics
    /// Panics when the lane was never assigned.
    pub fn name(&self, lane: Lane) -> &Arc<str> {
        self.names.get(&lane).expect("the lane was assigned")
    }

    /// Returns the subscriber, for operations without a rule to check, such as pausing.
    pub fn subscriber(&mut self) -> &mut S {
        &mut self.subscriber
    }

    /// Waits for the next item, or for `None` after a close.
    ///
    /// It checks the time first. A deadline must not hide a subscriber that does not wake its caller.
    ///
    /// # Errors
    /// Returns [`Quiet`] when nothing arrives within `limit`.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Option<Incoming>, Quiet> {
        loop {
            let answer = tokio::select! {
                biased;
                () = tokio::time::sleep(limit) => return Err(Quiet(limit)),
                answer = poll_fn(|cx| self.subscriber.poll_next(cx)) => answer,
            };
            match answer {
                Some(Err(error)) if error.is_transient() => {}
                Some(Err(error)) => panic!("the subscriber ended: {error:?}"),
                Some(Ok(incoming)) => {
                    self.check(&incoming);
                    return Ok(Some(incoming));
                }
                None => return Ok(None),
            }
        }
    }

    /// Waits for the next message, and gives up a revoked lane at once.
    ///
    /// # Errors
    /// Returns [`Quiet`] when no message arrives within `limit`.
    pub async fn message_within(&mut self, limit: Duration) -> Result<Delivery, Quiet> {
        loop {
            match self.next_within(limit).await? {
                Some(Incoming::Message(delivery)) => return Ok(delivery),
                Some(_) => {}
                None => panic!("the subscriber ended while messages were expected"),
            }
        }
    }

    /// Waits for the next message.
    ///
    /// # Panics
    /// Panics when none arrives before the deadline.
    pub async fn message(&mut self) -> Delivery {
        self.message_within(DEADLINE).await.unwrap_or_else(|_| panic!("no message came within {DEADLINE:?}"))
    }

    /// Receives until `count` messages have arrived.
    pub async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            match self.message_within(DEADLINE).await {
                Ok(delivery) => taken.push(delivery),
                Err(_) => panic!("only {} of {count} messages came within {DEADLINE:?}", taken.len()),
            }
        }
        taken
    }

    /// Receives until `count` different texts have arrived. Returns every message, duplicates included.
    pub async fn take_distinct(&mut self, count: usize) -> Vec<Delivery> {
        let (mut taken, mut seen) = (Vec::new(), BTreeSet::new());
        while seen.len() < count {
            match self.message_within(DEADLINE).await {
                Ok(delivery) => {
                    seen.insert(text(&delivery));
                    taken.push(delivery);
                }
                Err(_) => {
                    panic!("only {} of {count} different messages came within {DEADLINE:?}", seen.len())
                }
            }
        }
        taken
    }

    /// Receives up to and including the message whose text is `last`.
    pub async fn take_until(&mut self, last: &str) -> Vec<Delivery> {
        let mut taken = Vec::new();
        loop {
            let delivery = self.message().await;
            let found = text(&delivery) == last;
            taken.push(delivery);
            if found {
                return taken;
            }
        }
    }

    /// Receives until no message arrives for `quiet`.
    pub async fn take_while_busy(&mut self, quiet: Duration) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while let Ok(delivery) = self.message_within(quiet).await {
            taken.push(delivery);
        }
        taken
    }

    /// Settles deliveries as the consumer's loop does: first the handled prefixes, then the receipts.
    pub async fn settle<F: TransportFixture>(&mut self, fixture: &F, deliveries: Vec<Delivery>) {
        let mut next = Vec::new();
        for position in deliveries.iter().filter_map(|delivery| delivery.position.as_ref()) {
            if let Some((_, handled)) =
                self.open.get_mut(&(position.topic.clone(), position.partition, position.offset))
            {
                *handled = true;
            }
            let partition = (position.topic.clone(), position.partition);
            let all =
                (partition.0.clone(), partition.1, i64::MIN)..=(partition.0.clone(), partition.1, i64::MAX);
            let prefix: Vec<i64> = self
                .open
                .range(all)
                .take_while(|(_, (_, handled))| *handled)
                .map(|((.., offset), _)| *offset)
                .collect();
            for offset in &prefix {
                self.open.remove(&(partition.0.clone(), partition.1, *offset));
            }
            if let Some(last) = prefix.last() {
                let (topic, partition) = partition;
                next.push(NextOffset { topic, partition, key_lane: 0, next: last + 1 });
            }
        }
        if !next.is_empty() {
            fixture.handled(&self.consumer, &next).await;
        }
        self.settle_receipts(deliveries.into_iter().map(|delivery| delivery.receipt).collect());
    }

    /// Settles only receipts.
    pub fn settle_receipts(&mut self, mut receipts: Vec<Receipt>) {
        self.subscriber.settle(&mut receipts);
        assert!(receipts.is_empty(), "settle empties the list");
    }

    /// Releases deliveries.
    pub fn release(&mut self, deliveries: Vec<Delivery>) {
        let mut back: Vec<Receipt> = deliveries.into_iter().map(|delivery| delivery.receipt).collect();
        self.subscriber.release(&mut back);
        assert!(back.is_empty(), "release empties the list");
    }

    /// Closes the subscriber and returns its answer.
    ///
    /// # Errors
    /// Returns the error of the subscriber.
    ///
    /// # Panics
    /// Panics when it does not end before the deadline.
    pub async fn close(&mut self) -> Result<(), Error> {
        let closed = tokio::time::timeout(DEADLINE, poll_fn(|cx| self.subscriber.poll_close(cx))).await;
        closed.expect("close ends before the deadline")
    }

    fn check(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Assigned { lane, name } => {
                let older = self.last.keys().chain(&self.lanes).filter(|known| known.slot == lane.slot);
                let newest = older.map(|known| known.epoch).max();
                assert!(
                    newest.is_none_or(|epoch| epoch < lane.epoch),
                    "{lane:?} is assigned after epoch {newest:?}"
                );
                let alike =
                    self.lanes.iter().find(|known| known.slot != lane.slot && self.names[*known] == *name);
                assert!(alike.is_none(), "{lane:?} is called {name}, like {alike:?}");
                self.names.insert(*lane, Arc::clone(name));
                self.lanes.insert(*lane);
            }
            Incoming::Message(delivery) => {
                let lane = delivery.receipt.lane();
                assert!(self.lanes.contains(&lane), "a message came in {lane:?}, which is not assigned");
                let position = delivery.receipt.position();
                let last = self.last.insert(lane, position);
                assert!(
                    last.is_none_or(|last| last < position),
                    "position {position} came after {last:?} in {lane:?}"
                );
                if let Some(position) = &delivery.position {
                    self.open
                        .insert((position.topic.clone(), position.partition, position.offset), (lane, false));
                }
            }
            Incoming::Revoking { lane, .. } => {
                assert!(self.lanes.contains(lane), "{lane:?} is revoked and was not assigned");
            }
            Incoming::Lost { lane } => {
                self.lanes.remove(lane);
                self.last.entry(*lane).or_default();
                self.open.retain(|_, (of, _)| of != lane);
            }
        }
    }
}

/// No item arrived in this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet(Duration);

impl<S> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("consumer", &self.consumer)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
