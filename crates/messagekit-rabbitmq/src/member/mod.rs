//! The task of a subscriber: keeps a connection, a channel per queue and its consumer; hands deliveries on and sends
//! acknowledgements.

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
use messagekit::{Error, ErrorKind, Lane, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::lane::Settled;
use crate::link::{self, Pause};
use crate::{RabbitMq, record};
use end::{End, Events};
use queue::Queue;
use reader::{Beginning, Begun, Reader};

/// What the subscriber asks for.
pub(crate) enum Command {
    Settle(Lane, Settled),
    Close,
}

/// What the subscriber is told.
pub(crate) enum News {
    Assigned(Lane),
    Delivered(Lane, u64, Message),
    Lost(Lane),
    Trouble(Error),
}

/// How the task ended.
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
    /// It was closed: the subscriber is closed or gone, or what is wrong does not pass by itself.
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

    /// Works until it is asked to close or nobody listens any more.
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
        // Nobody to tell when the subscriber is gone.
        let _ = closed.send(end);
    }

    /// Reads from every queue until the connection is gone. A queue that takes long to open holds up no other one. Consumers
    /// live until their channels are closed: the client cancels one that is dropped before.
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

    /// Begins to read the queues whose time has come.
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

    /// Reads on with what was begun. Answers false when the queue must not be read.
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
        // With the connection everything is lost, and it matters why.
        if connection.status().connected() {
            if self.queues[slot].is_read_by(reader) {
                // It is opened again with everything else that is new.
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
        // What an earlier reader of the lane still had counts; that it ended was asked for.
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
        // With the connection everything is lost, and it matters why.
        if connection.status().connected() {
            self.lose(lane.slot as usize);
        }
        self.tell(News::Trouble(error));
    }

    fn settle(&mut self, lane: Lane, settled: Settled) -> Option<Beginning<'static>> {
        let queue = &mut self.queues[lane.slot as usize];
        // A lane that is gone has no channel: its tags mean other messages on the next one.
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

    /// Closes in order: what was acknowledged is with the broker when it has closed the channel.
    async fn leave(&mut self, connection: &Connection) -> Closed {
        let left = join_all(self.queues.iter_mut().map(Queue::leave)).await;
        link::close(connection).await;
        left.into_iter().collect()
    }

    fn tell(&self, news: News) {
        if let News::Trouble(error) = &news {
            tracing::warn!(error = messagekit::chain(error), "subscriber has trouble with rabbitmq");
        }
        // Nobody to tell when the subscriber is gone; the commands end then too.
        let _ = self.news.send(news);
    }
}

/// The deliveries of a reader, and its end.
fn until_its_end(reader: Reader, consumer: lapin::Consumer) -> Arriving {
    let end = futures_util::stream::once(std::future::ready(None));
    Box::pin(consumer.map(Some).chain(end).map(move |delivery| (reader, delivery)))
}

/// Waits until the subscriber is closed or gone, while there is no lane that could be settled.
async fn asked(commands: &mut mpsc::UnboundedReceiver<Command>) {
    while let Some(Command::Settle(..)) = commands.recv().await {}
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
