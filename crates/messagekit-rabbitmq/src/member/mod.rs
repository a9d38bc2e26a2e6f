//! The task of a subscriber: keeps a connection, a channel per queue and its consumer; hands deliveries on and sends
//! acknowledgements.

mod queue;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{SelectAll, Stream, StreamExt};
use lapin::Connection;
use lapin::message::Delivery;
use messagekit::{Error, ErrorKind, Lane, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::link::{self, PATIENCE, Pause};
use crate::{RabbitMq, record};
use queue::Queue;

/// What the subscriber asks for.
pub(crate) enum Command {
    /// Acknowledge tags of a lane; with `true` everything up to it.
    Settle(Lane, Vec<(u64, bool)>),
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

type Deliveries = SelectAll<Pin<Box<dyn Stream<Item = (Lane, Option<lapin::Result<Delivery>>)> + Send>>>;

pub(crate) struct Member {
    rabbit: RabbitMq,
    name: String,
    queues: Vec<Queue>,
    commands: mpsc::UnboundedReceiver<Command>,
    news: mpsc::UnboundedSender<News>,
    epoch: u64,
}

/// Why the work on one connection ended.
enum Ended {
    /// The subscriber is closed or gone.
    Asked,
    Broken,
    /// What is wrong does not pass by itself.
    Refused,
}

impl Member {
    pub(crate) fn new(
        rabbit: RabbitMq,
        queues: Vec<Arc<str>>,
        consumer: &str,
        commands: mpsc::UnboundedReceiver<Command>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        let queues = queues.into_iter().map(Queue::new).collect();
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
            match connected {
                Ok(connection) => match self.work(&connection, &mut pause).await {
                    Ended::Asked => break self.leave(&connection).await,
                    Ended::Refused => {
                        link::close(&connection).await;
                        break Ok(());
                    }
                    Ended::Broken => drop(tokio::spawn(async move { link::close(&connection).await })),
                },
                Err(error) => self.tell(News::Trouble(error)),
            }
            tokio::select! {
                () = tokio::time::sleep(pause.next()) => {}
                () = asked(&mut self.commands) => break Ok(()),
            }
        };
        // Nobody to tell when the subscriber is gone.
        let _ = closed.send(end);
    }

    /// Reads from every queue until the connection is gone.
    async fn work(&mut self, connection: &Connection, pause: &mut Pause) -> Ended {
        let mut deliveries = Deliveries::new();
        let mut events = connection.events_listener().boxed();
        self.queues.iter_mut().for_each(Queue::try_at_once);
        loop {
            if !self.subscribe(connection, &mut deliveries, pause).await {
                return Ended::Refused;
            }
            if !connection.status().connected() {
                self.lose_all();
                return Ended::Broken;
            }
            let again = self.queues.iter().filter_map(Queue::again).min();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Settle(lane, tags)) => self.settle(lane, &tags),
                    Some(Command::Close) | None => return Ended::Asked,
                },
                Some((lane, delivery)) = deliveries.next() => self.delivered(lane, delivery),
                Some(event) = events.next() => tracing::debug!(?event, "news from rabbitmq"),
                () = until(again) => {}
            }
        }
    }

    /// Begins to read the queues whose time has come. Answers false when one of them must not be read.
    async fn subscribe(
        &mut self,
        connection: &Connection,
        deliveries: &mut Deliveries,
        pause: &mut Pause,
    ) -> bool {
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
                Ok(consumer) => {
                    self.epoch += 1;
                    pause.reset();
                    self.tell(News::Assigned(lane));
                    let end = futures_util::stream::once(std::future::ready(None));
                    let stream = consumer.map(Some).chain(end).map(move |delivery| (lane, delivery));
                    deliveries.push(Box::pin(stream));
                }
                Err(error) => {
                    self.queues[slot].try_again_at(Instant::now() + pause.next());
                    let refused = !error.is_transient();
                    self.tell(News::Trouble(error.with("queue", &self.queues[slot].name)));
                    if refused {
                        return false;
                    }
                    if !connection.status().connected() {
                        return true;
                    }
                }
            }
        }
        true
    }

    fn delivered(&mut self, lane: Lane, delivery: Option<lapin::Result<Delivery>>) {
        let queue = &mut self.queues[lane.slot as usize];
        if queue.lane() != Some(lane) {
            return;
        }
        match delivery {
            Some(Ok(delivery)) => {
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

    fn settle(&self, lane: Lane, tags: &[(u64, bool)]) {
        let queue = &self.queues[lane.slot as usize];
        // A lane that is gone has no channel: its tags mean other messages on the next one.
        if queue.lane() == Some(lane) {
            queue.acknowledge(tags);
        }
    }

    fn lose(&mut self, slot: usize) {
        if let Some(lane) = self.queues[slot].close() {
            self.tell(News::Lost(lane));
        }
    }

    fn lose_all(&mut self) {
        for slot in 0..self.queues.len() {
            self.lose(slot);
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
