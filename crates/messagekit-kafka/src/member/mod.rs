//! The thread that polls Kafka. It runs no handlers, so that this member stays in the group however long they take.

mod closing;
mod commit;
mod commit_in_flight;
mod continuity;
mod delivering;
mod going_over;
mod known;
mod lane;
mod liveness;
mod lost;
mod offsets;
mod opening;
mod proof;
mod rebalancing;
mod recreated;
mod recreated_topics;
mod replacement;
mod start;
mod start_position;
mod starting;
mod step;
mod unplaced;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use messagekit::adapter::Receipt;
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;

use crate::client::GroupClient;
use crate::context::Context;
use crate::link::{Command, Event, Events};
use crate::memory::Memory;
use crate::notices::Notices;
use commit_in_flight::CommitInFlight;
use lane::Lane;
pub(crate) use lane::Standing;
use recreated_topics::RecreatedTopics;
use replacement::Replacement;
use step::Step;
use unplaced::Unplaced;

/// How long the thread sleeps without a wake-up. A callback that librdkafka does not announce waits this long at
/// most.
const IDLE: Duration = Duration::from_millis(100);

/// Whether the last positions are durable.
pub(crate) type Closed = Result<(), Error>;

/// A member of a group, on its own thread.
pub(crate) struct Member {
    client: GroupClient,
    consumer: Arc<BaseConsumer<Context>>,
    /// The consumer's name, which is also the group's name.
    name: Arc<str>,
    memory: Memory,
    commands: mpsc::Receiver<Command>,
    events: Events,
    /// Every partition that was ever assigned, in order of appearance: its index is the slot of its lanes.
    slots: Vec<(Arc<str>, i32)>,
    /// The lanes of the current assignments, by slot.
    lanes: BTreeMap<u32, Lane>,
    epoch: u64,
    step: Option<Step>,
    /// How long a revoked lane may take to finish its work.
    drain: Duration,
    next_hint: Instant,
    next_opening: Instant,
    opening: Option<CommitInFlight>,
    confirming: Option<CommitInFlight>,
    next_confirming: Instant,
    unplaced: Unplaced,
    recreated: RecreatedTopics,
    replacement: Replacement,
    fenced_at: Option<Instant>,
    notices: Notices,
}

/// The reason for the end of the loop.
enum End {
    /// The subscriber closes or is dropped.
    Asked,
    /// Going on would lose records, or cannot work.
    Permanent(Error),
}

impl Member {
    /// Creates the client on the thread that will poll it.
    pub(crate) fn new(
        client: GroupClient,
        name: Arc<str>,
        memory: Memory,
        drain: Duration,
        commands: mpsc::Receiver<Command>,
        events: Events,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let consumer = client.subscribed(client.unsubscribed()?)?;
        Ok(Self {
            client,
            consumer,
            name,
            memory,
            commands,
            events,
            slots: Vec::new(),
            lanes: BTreeMap::new(),
            epoch: 0,
            step: None,
            drain,
            next_hint: now,
            next_opening: now,
            opening: None,
            confirming: None,
            next_confirming: now,
            unplaced: Unplaced::default(),
            recreated: RecreatedTopics::default(),
            replacement: Replacement::None,
            fenced_at: None,
            notices: Notices::default(),
        })
    }

    /// Runs until the subscriber closes, is dropped, or cannot go on; then leaves the group.
    pub(crate) fn run(mut self) -> Closed {
        let end = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(IDLE),
                Err(end) => break end,
            }
        };
        if let End::Permanent(error) = end {
            tracing::error!(consumer = &*self.name, error = %messagekit::chain(&error), "subscriber ends");
            self.events.send(Event::Error(error));
        }
        self.close()
    }

    /// Runs one round of all tasks; returns whether any made progress.
    fn turn(&mut self) -> Result<bool, End> {
        let mut moved = self.poll_main_queue()?;
        moved |= self.notice_recreated()?;
        moved |= self.obey()?;
        moved |= self.rebalance()?;
        moved |= self.start_unplaced()?;
        self.open();
        moved |= self.deliver()?;
        self.hint();
        moved |= self.replace()?;
        Ok(moved)
    }

    /// Polls the queue of the group itself, which keeps the membership.
    fn poll_main_queue(&mut self) -> Result<bool, End> {
        let consumer = Arc::clone(&self.consumer);
        let mut moved = false;
        loop {
            let events = consumer.context().events();
            match consumer.poll(Duration::ZERO) {
                None if consumer.context().events() == events => return Ok(moved),
                None => {}
                Some(Err(error)) => self.failed(error)?,
                Some(Ok(record)) => {
                    let of = |lane: &&mut Lane| {
                        *lane.topic == *record.topic() && lane.partition == record.partition()
                    };
                    if let Some(lane) = self.lanes.values_mut().find(of) {
                        lane.keep_early(&record);
                    }
                }
            }
            moved = true;
        }
    }

    fn obey(&mut self) -> Result<bool, End> {
        let mut moved = false;
        loop {
            match self.commands.try_recv() {
                Ok(Command::Pause(lane)) => self.set_paused(lane, true),
                Ok(Command::Resume(lane)) => self.set_paused(lane, false),
                Ok(Command::Settle(receipts)) => self.settle(&receipts),
                Ok(Command::Release(receipts)) => {
                    for receipt in &receipts {
                        if let Some(lane) = self.lane(receipt.lane()) {
                            lane.release(receipt);
                        }
                    }
                }
                Ok(Command::Rewind { lane, taken, round }) => {
                    if let Some(lane) = self.lane(lane) {
                        lane.rewind(taken, round);
                    }
                }
                Ok(Command::Done(lane)) => self.done(lane),
                Ok(Command::Standings(answer)) => {
                    // The probe may be dropped.
                    let _ = answer.send(self.lanes.values().map(Lane::standing).collect());
                }
                Ok(Command::Close) | Err(mpsc::TryRecvError::Disconnected) => return Err(End::Asked),
                Err(mpsc::TryRecvError::Empty) => return Ok(moved),
            }
            moved = true;
        }
    }

    fn settle(&mut self, receipts: &[Receipt]) {
        let (mut stale, memory) = (0, self.memory.clone());
        for receipt in receipts {
            if !self.lane(receipt.lane()).is_some_and(|lane| lane.settle(receipt, &memory)) {
                stale += 1;
            }
        }
        if stale > 0 {
            tracing::debug!(consumer = &*self.name, stale, "settled after the lane was gone");
        }
    }

    fn set_paused(&mut self, lane: messagekit::adapter::Lane, paused: bool) {
        if let Some(lane) = self.lane(lane) {
            lane.paused = paused;
        }
    }

    /// Returns a lane of the current assignments.
    fn lane(&mut self, id: messagekit::adapter::Lane) -> Option<&mut Lane> {
        self.lanes.get_mut(&id.slot).filter(|lane| lane.id == id)
    }

    /// Reports an error of librdkafka; fails only if the member cannot recover from it.
    fn failed(&mut self, error: KafkaError) -> Result<(), End> {
        let reason = self.consumer.context().reason();
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            if code == RDKafkaErrorCode::FencedInstanceId && self.joins_again_when_fenced(Instant::now()) {
                return Ok(());
            }
            let text = match code {
                RDKafkaErrorCode::FencedInstanceId => {
                    "another process has joined with this one's instance id: give each process its own"
                        .to_owned()
                }
                _ => format!("kafka ends this member of the group: {text}"),
            };
            let error = Error::new(ErrorKind::WrongState, text)
                .with("consumer", &self.name)
                .caused_by(KafkaError::MessageConsumptionFatal(code));
            return Err(End::Permanent(error));
        }
        self.tell(&error, &reason);
        Ok(())
    }

    /// Reports a transient error, unless it was reported recently.
    fn tell(&mut self, error: &KafkaError, reason: &str) {
        if let Some(notice) = self.notices.of(error, reason, Instant::now()) {
            self.events.send(Event::Error(notice.with("consumer", &self.name)));
        }
    }

    /// Reports why something waits, unless it was reported recently.
    fn tell_again(&mut self, error: Error) {
        let error = error.with("consumer", &self.name);
        if self.notices.is_due((0, error.to_string()), Instant::now()) {
            self.events.send(Event::Error(error));
        }
    }
}
