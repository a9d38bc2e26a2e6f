//! The task of a subscriber: keeps a connection, a channel per queue and its consumer; hands deliveries on and sends
//! acknowledgements.

mod pace;
mod queue;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{SelectAll, Stream, StreamExt};
use lapin::message::Delivery;
use lapin::{Connection, Event};
use messagekit::{Error, ErrorKind, Lane, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::is_forced;
use crate::lane::Settled;
use crate::link::{self, PATIENCE, Pause};
use crate::{RabbitMq, record};
use queue::{Queue, Reader};

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

    /// Reads from every queue until the connection is gone. Consumers live until their channels are closed: the client cancels
    /// one that is dropped before.
    async fn work(&mut self, connection: &Connection) -> Ended {
        let (mut deliveries, mut forced) = (Deliveries::new(), false);
        let mut events = connection.events_listener().boxed();
        loop {
            if !self.subscribe(connection, &mut deliveries).await {
                return Ended::Closed(self.leave(connection).await);
            }
            if !connection.status().connected() {
                while let Some(Some(event)) = events.next().now_or_never() {
                    forced |= is_end_by_the_broker(&event);
                }
                self.lose_all(forced);
                return Ended::Broken;
            }
            let again = self.queues.iter().filter_map(Queue::again).min();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Settle(lane, settled)) => self.settle(lane, settled, &mut deliveries).await,
                    Some(Command::Close) | None => return Ended::Closed(self.leave(connection).await),
                },
                Some((reader, delivery)) = deliveries.next() => self.delivered(reader, delivery),
                Some(event) = events.next() => {
                    forced |= is_end_by_the_broker(&event);
                    tracing::debug!(?event, "news from rabbitmq");
                }
                () = until(again) => {}
            }
        }
    }

    /// Begins to read the queues whose time has come. Answers false when one of them must not be read.
    async fn subscribe(&mut self, connection: &Connection, deliveries: &mut Deliveries) -> bool {
        for slot in 0..self.queues.len() {
            if self.queues[slot].again().is_none_or(|again| again > Instant::now()) {
                continue;
            }
            let lane = Lane { slot: u32::try_from(slot).unwrap_or(u32::MAX), epoch: self.epoch + 1 };
            let opening = self.queues[slot].open(connection, &self.rabbit, &self.name, lane);
            let opened = tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "rabbitmq opened no consumer in time"))
            });
            match opened {
                Ok((reader, consumer)) => {
                    self.epoch += 1;
                    self.tell(News::Assigned(lane));
                    deliveries.push(until_its_end(reader, consumer));
                }
                Err(error) => {
                    let refused = !error.is_transient();
                    self.tell(News::Trouble(error.with("queue", &self.queues[slot].name)));
                    if refused {
                        return false;
                    }
                    if !connection.status().connected() {
                        return true;
                    }
                    self.queues[slot].try_again_later();
                }
            }
        }
        true
    }

    fn delivered(&mut self, reader: Reader, delivery: Option<lapin::Result<Delivery>>) {
        let (lane, queue) = (reader.lane, &mut self.queues[reader.lane.slot as usize]);
        if queue.lane() != Some(lane) {
            return;
        }
        // What an earlier reader of the lane still had counts; that it ended was asked for.
        if !queue.is_read_by(reader) && !matches!(delivery, Some(Ok(_))) {
            return;
        }
        match delivery {
            Some(Ok(delivery)) => {
                queue.delivered();
                let message = record::read(&queue.name, &delivery.properties, delivery.data);
                self.tell(News::Delivered(lane, delivery.delivery_tag, message));
            }
            Some(Err(error)) => {
                let error = crate::error::unavailable("rabbitmq ended the consumer", error);
                let error = error.with("queue", &queue.name);
                self.lose(lane.slot as usize);
                self.tell(News::Trouble(error));
            }
            None => {
                let text = "rabbitmq cancelled the consumer: its queue was deleted or moved";
                let error = Error::new(ErrorKind::Unavailable, text).with("queue", &queue.name);
                self.lose(lane.slot as usize);
                self.tell(News::Trouble(error));
            }
        }
    }

    async fn settle(&mut self, lane: Lane, settled: Settled, deliveries: &mut Deliveries) {
        let queue = &mut self.queues[lane.slot as usize];
        // A lane that is gone has no channel: its tags mean other messages on the next one.
        if queue.lane() != Some(lane) {
            return;
        }
        let settling = tokio::time::timeout(PATIENCE, queue.settle(&self.name, settled));
        let replaced = settling.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "rabbitmq replaced no consumer in time"))
        });
        match replaced {
            Ok(Some((reader, consumer))) => deliveries.push(until_its_end(reader, consumer)),
            Ok(None) => {}
            // It is opened again with everything else that is new.
            Err(error) => {
                let error = error.with("queue", &queue.name);
                self.lose(lane.slot as usize);
                self.tell(News::Trouble(error));
            }
        }
    }

    fn lose(&mut self, slot: usize) {
        if let Some(lane) = self.queues[slot].close() {
            self.tell(News::Lost(lane));
        }
    }

    /// The connection has ended, on the broker's word or unexplained.
    fn lose_all(&mut self, forced: bool) {
        for slot in 0..self.queues.len() {
            self.lose(slot);
            if !forced {
                self.queues[slot].ended_unexplained();
            }
            self.queues[slot].try_again_later();
        }
    }

    /// Closes in order: what was acknowledged is with the broker when it has closed the channel.
    async fn leave(&mut self, connection: &Connection) -> Closed {
        let mut end = Ok(());
        for queue in &mut self.queues {
            if let Err(error) = queue.leave().await {
                end = Err(error.with("queue", &queue.name));
            }
        }
        link::close(connection).await;
        end
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

/// Returns whether the broker says that it ends the connection, as it does when it stops or an operator wishes.
fn is_end_by_the_broker(event: &Event) -> bool {
    matches!(event, Event::Error(error) if is_forced(error))
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
