//! The subscriber of a consumer over RabbitMQ.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use messagekit::adapter::{Incoming, LagProbe, Lane, Receipt, Subscriber};
use messagekit::{Error, ErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::RabbitMq;
use crate::lag::{Load, QueueLag};
use crate::lane::Held;
use crate::member::{Closed, Command, Member, News};

/// Reads as a member of a consumer; its lanes are queues, each on its own channel.
///
/// It holds at most [`prefetch`](RabbitMq::prefetch) unsettled messages of each queue. Members of one queue share its
/// messages one by one: the order of a key holds while one member reads the queue. With a [single active
/// consumer](crate::Queue::single_active_consumer), the other members are on standby.
///
/// The subscriber delivers released messages again from memory, in their order and without a new delivery count. A
/// paused lane yields no message, not even fetched ones. Its own task keeps the connection and reconnects. Dropping
/// the subscriber leaves in the background, like a close, without waiting.
pub struct RabbitMqSubscriber {
    consumer: Arc<str>,
    commands: mpsc::UnboundedSender<Command>,
    news: mpsc::UnboundedReceiver<News>,
    closed: oneshot::Receiver<Closed>,
    stage: Stage,
    /// A permanent error was yielded.
    refused: bool,
    lanes: Vec<Option<Held>>,
    /// By the slots of their lanes.
    queues: Vec<Arc<str>>,
    /// Events to yield before messages.
    ready: VecDeque<Result<Incoming, Error>>,
    /// The queue whose turn is next.
    turn: usize,
    waker: Option<Waker>,
    load: Arc<Load>,
    lag: Arc<QueueLag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Closed,
}

impl RabbitMqSubscriber {
    pub(crate) fn start(rabbit: RabbitMq, queues: Vec<Arc<str>>, consumer: &str) -> Self {
        let lanes = queues.iter().map(|_| None).collect();
        let (commands, asked) = mpsc::unbounded_channel();
        let (told, news) = mpsc::unbounded_channel();
        let (ended, closed) = oneshot::channel();
        let load = Arc::new(Load::new(queues.clone()));
        let lag = Arc::new(QueueLag::new(rabbit.clone(), consumer, Arc::clone(&load)));
        tokio::spawn(Member::new(rabbit, queues.clone(), consumer, asked, told).run(ended));
        Self {
            consumer: consumer.into(),
            commands,
            news,
            closed,
            stage: Stage::Open,
            refused: false,
            lanes,
            queues,
            ready: VecDeque::new(),
            turn: 0,
            waker: None,
            load,
            lag,
        }
    }

    fn held(&mut self, lane: Lane) -> Option<&mut Held> {
        self.lanes.get_mut(lane.slot as usize)?.as_mut().filter(|held| held.lane == lane)
    }

    fn take(&mut self, news: News) {
        let slot = match &news {
            News::Assigned(lane) | News::Delivered(lane, ..) | News::Lost(lane) => Some(lane.slot),
            News::Trouble(_) => None,
        };
        match news {
            News::Assigned(lane) => {
                self.lanes[lane.slot as usize] = Some(Held::new(lane));
                let name = Arc::clone(&self.queues[lane.slot as usize]);
                self.ready.push_back(Ok(Incoming::Assigned { lane, name }));
            }
            News::Delivered(lane, tag, message) => {
                if let Some(held) = self.held(lane) {
                    held.fetched(tag, message, Instant::now());
                }
            }
            News::Lost(lane) => {
                // The broker delivers messages again that were fetched and not delivered.
                if self.held(lane).is_some() {
                    self.lanes[lane.slot as usize] = None;
                    self.ready.push_back(Ok(Incoming::Lost { lane }));
                }
            }
            News::Trouble(error) => self.ready.push_back(Err(error)),
        }
        slot.into_iter().for_each(|slot| self.note(slot));
    }

    /// Tells the lag probe what a lane holds.
    fn note(&self, slot: u32) {
        let held = self.lanes.get(slot as usize).and_then(Option::as_ref);
        self.load.set(slot, held.map(Held::unsettled));
    }

    /// Makes the caller poll again.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Groups receipts by lane. Drops those of a lost lane: its messages are delivered again, and the new channel
    /// numbers its tags anew.
    fn by_lane(&mut self, receipts: &mut Vec<Receipt>) -> Vec<(Lane, Vec<u64>)> {
        let mut sorted: Vec<(Lane, Vec<u64>)> = Vec::new();
        for receipt in receipts.drain(..) {
            let lane = receipt.lane();
            if self.held(lane).is_none() {
                continue;
            }
            match sorted.iter_mut().find(|(known, _)| *known == lane) {
                Some((_, positions)) => positions.push(receipt.position()),
                None => sorted.push((lane, vec![receipt.position()])),
            }
        }
        sorted
    }
}

impl Subscriber for RabbitMqSubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.stage != Stage::Open || self.refused {
            return Poll::Ready(None);
        }
        // The prefetch limits the fetched messages, so this loop ends.
        let ended = loop {
            match self.news.poll_recv(cx) {
                Poll::Ready(Some(news)) => self.take(news),
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        if let Some(ready) = self.ready.pop_front() {
            self.refused = ready.as_ref().is_err_and(|error| !error.is_transient());
            return Poll::Ready(Some(ready));
        }
        for _ in 0..self.lanes.len() {
            let slot = self.turn;
            self.turn = (self.turn + 1) % self.lanes.len();
            if let Some(delivery) = self.lanes[slot].as_mut().and_then(Held::deliver) {
                return Poll::Ready(Some(Ok(Incoming::Message(delivery))));
            }
        }
        if ended {
            self.refused = true;
            let text = "task of the subscriber has ended: its runtime is being shut down";
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Closed, text))));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn pause(&mut self, lane: Lane) {
        if let Some(held) = self.held(lane) {
            held.paused = true;
        }
    }

    fn resume(&mut self, lane: Lane) {
        if let Some(held) = self.held(lane) {
            held.paused = false;
            self.wake();
        }
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        for (lane, positions) in self.by_lane(done) {
            if let Some(held) = self.held(lane) {
                let settled = held.settle(positions);
                // The task may have ended, and the channel with it.
                let _ = self.commands.send(Command::Settle(lane, settled));
                self.note(lane.slot);
            }
        }
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        for (lane, positions) in self.by_lane(back) {
            if let Some(held) = self.held(lane) {
                positions.into_iter().for_each(|position| held.release(position));
            }
        }
        self.wake();
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        Some(Arc::clone(&self.lag) as Arc<dyn LagProbe>)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.stage == Stage::Closed {
            return Poll::Ready(Ok(()));
        }
        if self.stage == Stage::Open {
            self.stage = Stage::Closing;
            let _ = self.commands.send(Command::Close);
            self.load.clear();
        }
        let answered = ready!(Pin::new(&mut self.closed).poll(cx));
        self.stage = Stage::Closed;
        let ended = |_| Error::new(ErrorKind::Closed, "task of the subscriber did not come to its end");
        Poll::Ready(answered.map_err(ended).flatten())
    }
}

impl fmt::Debug for RabbitMqSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqSubscriber")
            .field("consumer", &self.consumer)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
