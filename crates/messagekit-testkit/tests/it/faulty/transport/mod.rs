//! A transport with one fault.

mod publishing;
mod receiving;
mod settling;
mod subscriber;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use messagekit::adapter::{
    BoxFuture, Capabilities, Incoming, Lane, NextOffset, PartitionLag, Published, Publisher, Receipt, Source,
    Subscriber,
};
use messagekit::{Error, Message};
use messagekit_memory::{MemoryLog, MemorySubscriber};
use messagekit_testkit::transport::TransportFixture;

use self::publishing::FaultyPublisher;
use self::subscriber::{FaultyLag, FaultySubscriber};
use super::Row;

/// What a transport does wrong.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    publish: for<'a> fn(&'a FaultyPublisher, &'a [Message]) -> BoxFuture<'a, Vec<Published>>,
    bind: fn(&FaultyTransport, &mut Binding),
    /// The waker that a member is polled with.
    waker: for<'a> fn(&'a Waker) -> &'a Waker,
    /// Whether a member stays silent. Its argument is whether the member is closed.
    is_silent: fn(bool) -> bool,
    incoming: fn(&mut FaultySubscriber, Incoming) -> Option<Incoming>,
    message: fn(&mut Message),
    /// The receipt of the log for a receipt that the member showed.
    receipt: fn(&FaultySubscriber, Lane, u64) -> (Lane, u64),
    pause: fn(&mut FaultySubscriber, Lane),
    resume: fn(&mut FaultySubscriber, Lane),
    settle: fn(&mut FaultySubscriber, Lane, u64),
    release: fn(&mut FaultySubscriber, Lane, u64, Option<Message>),
    lag: fn(&FaultyLag, Vec<PartitionLag>) -> Vec<PartitionLag>,
    close: fn(&mut FaultySubscriber, &mut Context<'_>) -> Poll<Result<(), Error>>,
    drop: fn(&mut FaultySubscriber),
}

impl Fault {
    const NONE: Self = Self {
        publish: |publisher, batch| publisher.log.publish(batch),
        bind: |_, _| (),
        waker: |waker| waker,
        is_silent: |_| false,
        incoming: |_, incoming| Some(incoming),
        message: |_| (),
        receipt: |_, lane, sequence| (lane, sequence),
        pause: |member, lane| member.inner().pause(lane),
        resume: |member, lane| member.inner().resume(lane),
        settle: |member, lane, sequence| member.settle_one(lane, sequence),
        release: |member, lane, sequence, _| member.inner().release(&mut vec![Receipt::new(lane, sequence)]),
        lag: |_, lag| lag,
        close: |member, cx| member.inner().poll_close(cx),
        drop: |_| (),
    };
}

static RIGHT: Fault = Fault::NONE;

/// Returns the faults of transports.
pub(crate) fn faults() -> impl Iterator<Item = &'static Row<Fault>> {
    [publishing::ROWS, receiving::ROWS, settling::ROWS].into_iter().flatten()
}

/// What a source is bound to.
#[derive(Default)]
struct Binding {
    consumer: String,
    topics: Vec<Arc<str>>,
    /// The last offset that the consumer skips, by topic and partition.
    skipped: BTreeMap<(Arc<str>, i32), i64>,
}

/// What the members of a transport share.
#[derive(Default)]
struct Shared {
    known: BTreeSet<String>,
    undead: Vec<MemorySubscriber>,
}

/// A fixture over a [`MemoryLog`] with one fault or none.
#[derive(Clone)]
pub(crate) struct FaultyTransport {
    log: MemoryLog,
    fault: &'static Fault,
    shared: Arc<Mutex<Shared>>,
}

impl FaultyTransport {
    /// Creates a fixture with an empty log.
    pub(crate) fn new(fault: Option<&'static Fault>) -> Self {
        Self { log: MemoryLog::new(4), fault: fault.unwrap_or(&RIGHT), shared: Arc::default() }
    }

    /// Returns whether no member of a consumer has subscribed before.
    fn is_new(&self, consumer: &str) -> bool {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.known.insert(consumer.to_owned())
    }
}

impl TransportFixture for FaultyTransport {
    type Source = FaultySource;

    fn capabilities(&self) -> Capabilities {
        self.log.topics(["any"]).capabilities()
    }

    fn source(&self, topics: &[Arc<str>]) -> FaultySource {
        FaultySource { transport: self.clone(), topics: topics.to_vec() }
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        let (log, fault) = (self.log.clone(), self.fault);
        Box::new(FaultyPublisher { log, fault, count: AtomicU64::new(0), unwritten: Mutex::default() })
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        self.log.lose(consumer);
    }
}

/// Topics of a [`FaultyTransport`].
pub(crate) struct FaultySource {
    transport: FaultyTransport,
    topics: Vec<Arc<str>>,
}

impl Source for FaultySource {
    type Subscriber = FaultySubscriber;

    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<FaultySubscriber, Error> {
        let Self { transport, topics } = self;
        let mut binding = Binding { consumer: consumer.to_owned(), topics, ..Binding::default() };
        (transport.fault.bind)(&transport, &mut binding);
        let topics = transport.log.topics(binding.topics.iter().cloned());
        let inner = topics.bind(&binding.consumer, remembered).await?;
        Ok(FaultySubscriber::new(inner, transport, binding))
    }
}
