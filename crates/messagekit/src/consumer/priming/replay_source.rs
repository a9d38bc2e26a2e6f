//! The past of topics as one lane of a consumer, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Sleep, sleep};

use super::frontiers::Frontiers;
use super::progress::{OffsetCounter, PrimingProgress};
use crate::consumer::Backoff;
use crate::log::{MergeRecord, OrderedReader, Record};
use crate::store::{BoxFuture, NextOffset};
use crate::transport::{BatchLimit, Capabilities, Delivery, Incoming, Lane, Receipt, Source, Subscriber};
use crate::{Error, Message, Position, Shutdown};

/// What a program does with the progress.
pub(super) type OnProgress = Box<dyn FnMut(&PrimingProgress) + Send>;

/// The past of the topics of a reader.
pub(super) struct ReplaySource {
    pub(super) reader: OrderedReader,
    pub(super) frontiers: Frontiers,
    /// Is requested when all of the past is settled.
    pub(super) is_live: Shutdown,
    pub(super) on_progress: Option<OnProgress>,
}

impl Source for ReplaySource {
    type Subscriber = ReplaySubscriber;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            system: "messagekit",
            persistent: true,
            shares_work: false,
            positions: true,
            any_order: true,
            batch: BatchLimit::DEFAULT,
        }
    }

    /// None: the reader has them, and where it begins in each.
    fn topics(&self) -> &[Arc<str>] {
        &[]
    }

    async fn bind(self, _: &str, _: &[NextOffset]) -> Result<ReplaySubscriber, Error> {
        let Self { reader, frontiers, is_live, on_progress } = self;
        let passed = OffsetCounter::new(&reader.partition_state());
        let reading = Reading::Idle(Box::new(reader));
        Ok(ReplaySubscriber {
            reading,
            frontiers,
            is_live,
            on_progress,
            passed,
            is_assigned: false,
            is_paused: false,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            back: VecDeque::new(),
            delivered: 0,
            outages: 0,
            wait: None,
            waker: None,
        })
    }
}

type Polled = (Box<OrderedReader>, Result<Vec<MergeRecord<Record>>, Error>);

/// The reader, or its next answer.
enum Reading {
    Idle(Box<OrderedReader>),
    Polling(BoxFuture<'static, Polled>),
    /// All of the past was read.
    Ended,
}

/// The only member of a priming. It delivers the past on one lane, whatever partition a record is of.
pub(super) struct ReplaySubscriber {
    reading: Reading,
    frontiers: Frontiers,
    is_live: Shutdown,
    on_progress: Option<OnProgress>,
    passed: OffsetCounter,
    is_assigned: bool,
    is_paused: bool,
    waiting: VecDeque<MergeRecord<Record>>,
    /// Delivered messages that are not settled, by the number of their receipt.
    open: BTreeMap<u64, (Message, Position)>,
    /// Released messages, which come again first.
    back: VecDeque<(Message, Position)>,
    delivered: u64,
    /// How often the log has failed since it last answered, and the wait before it is asked again.
    outages: u32,
    wait: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

const LANE: Lane = Lane { slot: 0, epoch: 1 };

impl ReplaySubscriber {
    fn deliver(&mut self, message: Message, position: Position) -> Poll<Option<Result<Incoming, Error>>> {
        self.delivered += 1;
        self.open.insert(self.delivered, (message.clone(), position.clone()));
        let receipt = Receipt::new(LANE, self.delivered);
        Poll::Ready(Some(Ok(Incoming::Message(Delivery { message, position: Some(position), receipt }))))
    }

    /// Reads the next records; ready when there are some, or when all of the past was read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        /// How long the reader waits before it looks whether it is live.
        const PATIENCE: Duration = Duration::from_secs(1);
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        loop {
            match std::mem::replace(&mut self.reading, Reading::Ended) {
                Reading::Ended => return Poll::Ready(Ok(())),
                Reading::Idle(reader) if reader.is_live() => return Poll::Ready(Ok(())),
                Reading::Idle(mut reader) => {
                    self.reading = Reading::Polling(Box::pin(async move {
                        let records = reader.poll_merged(PATIENCE).await;
                        (reader, records)
                    }));
                }
                Reading::Polling(mut answer) => {
                    let Poll::Ready((reader, records)) = answer.as_mut().poll(cx) else {
                        self.reading = Reading::Polling(answer);
                        return Poll::Pending;
                    };
                    self.reading = Reading::Idle(reader);
                    let records = records.inspect_err(|_| {
                        self.outages += 1;
                        self.wait = Some(Box::pin(sleep(Backoff::OUTAGE.delay(self.outages))));
                    });
                    self.waiting.extend(records?);
                    self.outages = 0;
                    if !self.waiting.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Subscriber for ReplaySubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if !std::mem::replace(&mut self.is_assigned, true) {
            return Poll::Ready(Some(Ok(Incoming::Assigned { lane: LANE, name: "priming".into() })));
        }
        self.waker = Some(cx.waker().clone());
        if self.is_paused {
            return Poll::Pending;
        }
        if let Some((message, position)) = self.back.pop_front() {
            return self.deliver(message, position);
        }
        if self.waiting.is_empty() {
            match self.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok(())) => {}
            }
        }
        let Some(MergeRecord { time, record, .. }) = self.waiting.pop_front() else {
            if self.open.is_empty() {
                self.is_live.request();
            }
            return Poll::Pending;
        };
        let Record { message, position, .. } = record;
        // Records at the beginning of a log without times have none, which no database can write.
        let time = time.filter(|time| *time > Timestamp::MIN);
        time.into_iter().for_each(|time| self.frontiers.delivered(position.clone(), time));
        self.deliver(message, position)
    }

    fn pause(&mut self, _: Lane) {
        self.is_paused = true;
    }

    fn resume(&mut self, _: Lane) {
        self.is_paused = false;
        self.wake();
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        for receipt in done.drain(..) {
            if let Some((_, position)) = self.open.remove(&receipt.position()) {
                self.frontiers.settled(&position);
                self.passed.settled(&position);
            }
        }
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(&self.passed.progress());
        }
        self.wake();
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        let mut numbers: Vec<u64> = back.drain(..).map(|receipt| receipt.position()).collect();
        numbers.sort_unstable();
        for number in numbers.iter().rev() {
            self.open.remove(number).into_iter().for_each(|message| self.back.push_front(message));
        }
        self.wake();
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}
