//! The task of a subscriber: keeps a connection, and a channel with a consumer per queue. It passes deliveries on and
//! sends acknowledgements.

mod end;
mod pace;
mod queue;
mod reader;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, SelectAll, Stream, StreamExt};
use lapin::Connection;
use lapin::message::Delivery;
use messagekit::adapter::Lane;
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::lane::Settled;
use crate::link::{self, Pause};
use crate::{RabbitMq, record};
use end::{End, Events};
use queue::Queue;
use reader::{Beginning, Begun, Reader};

/// A request of the subscriber.
pub(crate) enum Command {
    Settle(Lane, Settled),
    Close,
}

/// A report to the subscriber.
pub(crate) enum News {
    Assigned(Lane),
    Delivered(Lane, u64, Message),
    Lost(Lane),
    Trouble(Error),
}

/// The result of the task.
pub(crate) type Closed = Result<(), Error>;

type Arriving = Pin<Box<dyn Stream<Item = (Reader, Option<lapin::Result<Delivery>>)> + Send>>;
type Deliveries = SelectAll<Arriving>;

pub(crate) struct Member {
    rabbit: RabbitMq,
    name: String,
    queues: Vec<Queue>,
    commands: mpsc::UnboundedReceiver<Command>,
    news: mpsc::UnboundedSender<News>,
    epoch: u64,
}

/// How the work on one connection ended.
enum Ended {
    /// The connection was closed: the subscriber is closed or dropped, or the error is permanent.
    Closed(Closed),
    Broken,
}

impl Member {
    pub(crate) fn new(
        rabbit: RabbitMq,
        queues: Vec<Arc<str>>,
        consumer: &str,
        commands: mpsc::UnboundedReceiver<Command>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        let queues = queues.into_iter().map(|queue| Queue::new(queue, rabbit.prefetch)).collect();
        let name = rabbit.connection_name(&format!("consumer {consumer}"));
        Self { rabbit, name, queues, commands, news, epoch: 0 }
    }

    /// Runs until the subscriber is closed or dropped.
    pub(crate) async fn run(mut self, closed: oneshot::Sender<Closed>) {
        let mut pause = Pause::default();
        let end = loop {
            let connected = {
                let connecting = self.rabbit.connect(&self.name);
                tokio::select! {
                    connected = connecting => connected,
                    () = asked(&mut self.commands) => break Ok(()),
                }
            };
            let again = match connected {
                Ok(connection) => {
                    pause.reset();
                    match self.work(&connection).await {
                        Ended::Closed(end) => break end,
                        Ended::Broken => drop(tokio::spawn(async move { link::close(&connection).await })),
                    }
                    self.queues.iter().filter_map(Queue::again).min()
                }
                Err(error) => {
                    self.tell(News::Trouble(error));
                    Some(Instant::now() + pause.next())
                }
            };
            tokio::select! {
                () = until(again) => {}
                () = asked(&mut self.commands) => break Ok(()),
            }
        };
        // The subscriber may be dropped.
        let _ = closed.send(end);
    }

    /// Reads from every queue until the connection ends. A queue that opens slowly delays no other one. Consumers
    /// exist until their channels are closed: the client cancels a consumer that is dropped earlier.
    async fn work(&mut self, connection: &Connection) -> Ended {
        let (mut deliveries, mut beginning) = (Deliveries::new(), FuturesUnordered::new());
        let mut events: Events = Box::pin(connection.events_listener());
        let mut end = None;
        loop {
            if !connection.status().connected() {
                let end = match end {
                    None => End::of(&mut events).await,
                    Some(end) => end,
                };
                self.lose_all(end);
                return Ended::Broken;
            }
            beginning.extend(self.open_due(connection));
            let again = self.queues.iter().filter_map(Queue::again).min();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Settle(lane, settled)) => beginning.extend(self.settle(lane, settled)),
                    Some(Command::Close) | None => return Ended::Closed(self.leave(connection).await),
                },
                Some(begun) = beginning.next() => {
                    if !self.begun(begun, connection, &mut deliveries) {
                        return Ended::Closed(self.leave(connection).await);
                    }
                }
                Some((reader, delivery)) = deliveries.next() => self.delivered(reader, delivery, connection),
                Some(event) = events.next() => {
                    tracing::debug!(?event, "news from rabbitmq");
                    end = end.or(End::read(&event));
                }
                () = until(again) => {}
            }
        }
    }

    /// Starts to read the queues that are due.
    fn open_due<'a>(&mut self, connection: &'a Connection) -> Vec<Beginning<'a>> {
        let (now, mut beginning) = (Instant::now(), Vec::new());
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            if queue.again().is_some_and(|again| again <= now) {
                self.epoch += 1;
                let lane = Lane { slot: u32::try_from(slot).unwrap_or(u32::MAX), epoch: self.epoch };
                beginning.push(queue.open(connection, &self.rabbit, &self.name, lane));
            }
        }
        beginning
    }

    /// Continues after an attempt to read a queue. Returns false if the queue must not be read.
    fn begun(&mut self, begun: Begun, connection: &Connection, deliveries: &mut Deliveries) -> bool {
        let Begun { reader, result } = begun;
        let slot = reader.lane.slot as usize;
        let error = match result {
            Ok((opened, consumer)) => {
                if let Some(channel) = opened {
                    self.queues[slot].opened(channel, reader);
                    self.tell(News::Assigned(reader.lane));
                }
                if self.queues[slot].is_read_by(reader) {
                    deliveries.push(until_its_end(reader, consumer));
                }
                return true;
            }
            Err(error) => error.with("queue", &self.queues[slot].name),
        };
        let may_be_read = error.is_transient();
        // If the connection has ended, every lane is lost, and the reason matters.
        if connection.status().connected() {
            if self.queues[slot].is_read_by(reader) {
                // The queue is opened again, like every closed one.
                self.lose(slot);
            } else if reader.number == 0 {
                self.queues[slot].try_again_later();
            }
        }
        self.tell(News::Trouble(error));
        may_be_read
    }

    fn delivered(
        &mut self,
        reader: Reader,
        delivery: Option<lapin::Result<Delivery>>,
        connection: &Connection,
    ) {
        let (lane, queue) = (reader.lane, &mut self.queues[reader.lane.slot as usize]);
        if queue.lane() != Some(lane) {
            return;
        }
        // Messages of an earlier reader of the lane count; its end was intended.
        if !queue.is_read_by(reader) && !matches!(delivery, Some(Ok(_))) {
            return;
        }
        let error = match delivery {
            Some(Ok(delivery)) => {
                queue.delivered();
                let message = record::read(&queue.name, &delivery.properties, delivery.data);
                return self.tell(News::Delivered(lane, delivery.delivery_tag, message));
            }
            Some(Err(error)) => crate::error::unavailable("rabbitmq ended the consumer", error),
            None => {
                let text = "rabbitmq cancelled the consumer: its queue was deleted or moved";
                Error::new(ErrorKind::Unavailable, text)
            }
        };
        let error = error.with("queue", &queue.name);
        // If the connection has ended, every lane is lost, and the reason matters.
        if connection.status().connected() {
            self.lose(lane.slot as usize);
        }
        self.tell(News::Trouble(error));
    }

    fn settle(&mut self, lane: Lane, settled: Settled) -> Option<Beginning<'static>> {
        let queue = &mut self.queues[lane.slot as usize];
        // A lost lane has no channel: on the next channel its tags mean other messages.
        if queue.lane() != Some(lane) {
            return None;
        }
        queue.settle(&self.name, settled)
    }

    fn lose(&mut self, slot: usize) {
        if let Some(lane) = self.queues[slot].close() {
            self.tell(News::Lost(lane));
        }
    }

    fn lose_all(&mut self, end: End) {
        for slot in 0..self.queues.len() {
            if let Some(lane) = self.queues[slot].disconnected(end == End::Forced) {
                self.tell(News::Lost(lane));
            }
        }
    }

    /// Closes in order: the broker has all acknowledgements when it has closed the channel.
    async fn leave(&mut self, connection: &Connection) -> Closed {
        let left = join_all(self.queues.iter_mut().map(Queue::leave)).await;
        link::close(connection).await;
        left.into_iter().collect()
    }

    fn tell(&self, news: News) {
        if let News::Trouble(error) = &news {
            tracing::warn!(error = messagekit::chain(error), "subscriber has trouble with rabbitmq");
        }
        // The subscriber may be dropped; then the commands end too.
        let _ = self.news.send(news);
    }
}

/// The deliveries of a reader, followed by its end.
fn until_its_end(reader: Reader, consumer: lapin::Consumer) -> Arriving {
    let end = futures_util::stream::once(std::future::ready(None));
    Box::pin(consumer.map(Some).chain(end).map(move |delivery| (reader, delivery)))
}

/// Waits until the subscriber is closed or dropped, while there is no lane to settle.
async fn asked(commands: &mut mpsc::UnboundedReceiver<Command>) {
    while let Some(Command::Settle(..)) = commands.recv().await {}
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
