//! The thread that reads a log: no call of the client library blocks a task.

use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use messagekit::log::Bounds;
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::bounds_question::BoundsQuestion;
use super::cursor::Cursor;
use super::link::{Command, Pages};
use super::partition::{Partition, Step};
use super::questions::Client;
use super::reader_client;
use crate::background::spawn;
use crate::error::{is_about_groups, unusable_settings};
use crate::notices::Notices;
use crate::on_recreated_topic::recreated_log;
use crate::topic_ids::TopicIds;

/// How long the thread sleeps without a wake-up. It is woken for records and commands; an event that the library does not announce waits
/// this long at most.
const IDLE: Duration = Duration::from_millis(100);
/// How long a seek may take; it waits for another thread of the client, not for a broker.
const SEEK: Duration = Duration::from_secs(1);

/// Where a reader starts in a partition.
pub(super) struct Start {
    pub(super) cursor: Cursor,
    /// The bounds of the partition when it was opened.
    pub(super) bounds: Bounds,
}

/// Reads partitions that no group assigns, on its own thread.
pub(super) struct Reading {
    topic: Arc<str>,
    config: ClientConfig,
    client: Arc<Client>,
    ids: Arc<TopicIds>,
    /// The id of the topic that is read, once the client has learned it.
    topic_id: Option<Arc<str>>,
    /// An offset of some partition is one of this topic, not the start of any.
    has_position: bool,
    /// Why nothing more is read.
    ended: Option<Error>,
    partitions: Vec<Partition>,
    commands: mpsc::Receiver<Command>,
    pages: Pages,
    bounds: BoundsQuestion,
    notices: Notices,
    /// The look at the statistics by which the client was last found without brokers: one that cannot be replaced is tried again at the next.
    judged: Option<Instant>,
}

impl Reading {
    /// Creates the client on the thread that will poll it, and starts to fetch.
    ///
    /// # Errors
    /// Permanent if the settings make no client.
    pub(super) fn new(
        config: ClientConfig,
        topic: Arc<str>,
        starts: Vec<Start>,
        commands: mpsc::Receiver<Command>,
        pages: Pages,
    ) -> Result<Self, Error> {
        let numbers = starts.iter().map(|start| start.cursor.partition());
        let ids = Arc::default();
        let (client, queues) = reader_client::open(&config, &ids, &topic, numbers)?;
        let has_position = starts.iter().any(|start| !start.cursor.is_at_start());
        let unusable = |error| unusable_settings("log", error);
        let mut assigned = TopicPartitionList::with_capacity(starts.len());
        let mut partitions = Vec::with_capacity(starts.len());
        for (index, (Start { mut cursor, bounds }, queue)) in starts.into_iter().zip(queues).enumerate() {
            let (offset, gone) = cursor.found(&bounds)?;
            assigned
                .add_partition_offset(&topic, cursor.partition(), Offset::Offset(offset))
                .map_err(unusable)?;
            partitions.push(Partition::new(&topic, cursor, queue));
            if let Some(gone) = gone {
                pages.send(index, 0, gone, 0);
            }
        }
        client.assign(&assigned).map_err(unusable)?;
        let (bounds, notices) = (BoundsQuestion::default(), Notices::default());
        Ok(Self {
            topic,
            config,
            client,
            ids,
            topic_id: None,
            has_position,
            ended: None,
            partitions,
            commands,
            pages,
            bounds,
            notices,
            judged: None,
        })
    }

    /// Runs until the reader is dropped.
    pub(super) fn run(mut self) {
        while let Some(has_moved) = self.turn() {
            if has_moved || self.pages.flow.wait() {
                continue;
            }
            let asleep = Instant::now();
            thread::park_timeout(IDLE);
            if asleep.elapsed() >= IDLE {
                self.partitions.iter().for_each(Partition::set_ready);
            }
        }
    }

    /// Runs one round of all tasks; returns whether any made progress, and `None` when the reader is gone.
    fn turn(&mut self) -> Option<bool> {
        let mut has_moved = self.obey()?;
        has_moved |= self.poll_main_queue();
        if self.has_ended() {
            return Some(false);
        }
        has_moved |= self.replace();
        has_moved |= self.find_bounds();
        for index in 0..self.partitions.len() {
            has_moved |= self.fetch(index);
            has_moved |= self.read(index);
        }
        Some(has_moved)
    }

    fn obey(&mut self) -> Option<bool> {
        let mut has_moved = false;
        loop {
            match self.commands.try_recv() {
                Ok(Command::Pause(index)) => self.partitions[index].is_paused = true,
                Ok(Command::Resume(index)) => self.partitions[index].is_paused = false,
                Ok(Command::Seek { partition, offset, round }) => {
                    self.partitions[partition].seek(offset, round);
                    self.has_position = true;
                }
                Err(mpsc::TryRecvError::Empty) => return Some(has_moved),
                Err(mpsc::TryRecvError::Disconnected) => return None,
            }
            has_moved = true;
        }
    }

    /// Returns whether the reader has ended, because its topic was made again, and reports that until the caller is gone.
    fn has_ended(&mut self) -> bool {
        let id = self.ids.of(&self.topic);
        if self.has_position && self.topic_id.is_some() && id != self.topic_id {
            self.ended = Some(recreated_log(&self.topic));
            self.partitions.iter_mut().for_each(Partition::stop);
        }
        self.topic_id = id;
        if let Some(error) = &self.ended {
            self.pages.report(error.clone());
        }
        self.ended.is_some()
    }

    /// Takes the events of the client itself: its errors.
    fn poll_main_queue(&mut self) -> bool {
        let client = Arc::clone(&self.client);
        let mut has_moved = false;
        loop {
            let events = client.context().events();
            match client.poll(Duration::ZERO) {
                None if client.context().events() == events => return has_moved,
                None => {}
                Some(Err(error)) => self.failed(&error),
                // A record beside the queue of its partition is fetched again in its turn.
                Some(Ok(record)) => {
                    let number = record.partition();
                    let of = |partition: &&mut Partition| partition.cursor.partition() == number;
                    self.partitions.iter_mut().find(of).into_iter().for_each(Partition::fetch_again);
                }
            }
            has_moved = true;
        }
    }

    /// Replaces a client that knows no broker any more; returns whether it did.
    ///
    /// A broker that has just started may name topics and no broker. The client then drops every address that it has and asks none again
    /// (<https://github.com/confluentinc/librdkafka/issues/5301>). One that has only its bootstrap addresses keeps these.
    fn replace(&mut self) -> bool {
        let contact = self.client.context().contact();
        if !contact.is_brokerless || self.judged == contact.looked {
            return false;
        }
        self.judged = contact.looked;
        let numbers = self.partitions.iter().map(|partition| partition.cursor.partition());
        match reader_client::open(&self.config, &self.ids, &self.topic, numbers) {
            Ok((client, queues)) => {
                tracing::warn!(topic = %self.topic, "this client has lost the brokers: the log is read on with another one");
                self.partitions.iter_mut().zip(queues).for_each(|(partition, queue)| partition.go_on(queue));
                // A question of the old client holds the others up until its deadline.
                self.bounds = BoundsQuestion::default();
                let old = mem::replace(&mut self.client, client);
                // A client waits for its own threads.
                spawn("log-end", move || drop(old));
                true
            }
            Err(error) => {
                // The settings made a client before.
                let text = "client has lost the brokers, and another one cannot be made";
                let error = Error::new(ErrorKind::Unavailable, text).caused_by(error);
                self.pages.report(error.with("topic", &self.topic));
                false
            }
        }
    }

    /// Reports an error of the client, unless it was reported recently, or is about the group that nothing here is a member of.
    fn failed(&mut self, error: &KafkaError) {
        if error.rdkafka_error_code().is_some_and(is_about_groups) {
            return;
        }
        let reason = self.client.context().reason();
        if let Some(notice) = self.notices.of(error, &reason, Instant::now()) {
            self.pages.report(notice.with("topic", &self.topic));
        }
    }

    /// Makes the client fetch a partition from where its cursor is, if it does not yet.
    fn fetch(&mut self, index: usize) -> bool {
        let partition = &mut self.partitions[index];
        let Step::Fetch(offset) = partition.step else { return false };
        let number = partition.cursor.partition();
        // A partition that the client has given up, or not started yet, refuses to seek.
        let is_fetched = self.client.seek(&self.topic, number, Offset::Offset(offset), SEEK);
        match is_fetched.or_else(|_| assign_again(&self.client, &self.topic, number, offset)) {
            Ok(()) => {
                partition.step = Step::Read;
                partition.set_ready();
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Takes what can be read of a partition, at most one page.
    fn read(&mut self, index: usize) -> bool {
        let partition = &mut self.partitions[index];
        if !partition.is_readable() || !self.pages.flow.has_room(index) {
            return false;
        }
        let Some(read) = partition.read(self.pages.flow.page_limits(), || self.client.context().reason())
        else {
            return false;
        };
        let round = partition.round;
        // The line that names another id of the topic comes before the records of that topic.
        self.poll_main_queue();
        if self.has_ended() {
            return false;
        }
        self.has_position |= read.records.is_some();
        if let Some((page, bytes)) = read.records {
            self.pages.send(index, round, page, bytes);
        }
        if let Some(end) = read.end {
            self.pages.send(index, round, end, 0);
        }
        if let Some(error) = read.error {
            self.failed(&error);
        }
        true
    }

    /// Takes the bounds that were asked for, and asks for those of partitions whose offset the broker does not have.
    fn find_bounds(&mut self) -> bool {
        let found = self.bounds.take();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let Some(found) = &found else { break };
            match partition
                .found(found.as_ref().ok().and_then(|found| found.get(&partition.cursor.partition())))
            {
                Ok(Some(gone)) => self.pages.send(index, partition.round, gone, 0),
                Ok(None) => {}
                Err(error) => self.pages.report(error.with("topic", &self.topic)),
            }
        }
        if self.bounds.is_due() {
            let asked = self.partitions.iter_mut().filter(|partition| partition.step == Step::Ask);
            let numbers: Vec<i32> = asked.map(Partition::ask).collect();
            self.bounds.ask(&self.client, &self.topic, numbers);
        }
        match found {
            Some(Err(error)) => self.pages.report(error),
            Some(Ok(_)) => {}
            None => return false,
        }
        true
    }
}

/// Gives a partition up and assigns it again, which keeps its queue.
fn assign_again(client: &Client, topic: &str, number: i32, offset: i64) -> Result<(), KafkaError> {
    let mut partition = TopicPartitionList::with_capacity(1);
    partition.add_partition_offset(topic, number, Offset::Offset(offset))?;
    let assigned = client.assignment()?;
    if assigned.find_partition(topic, number).is_some() {
        client.incremental_unassign(&partition)?;
    }
    client.incremental_assign(&partition)
}
