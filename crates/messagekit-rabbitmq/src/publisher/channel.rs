//! One channel in confirm mode: its unconfirmed messages, and their results.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation, Connection, Event};
use messagekit::headers::ID;
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::Notify;

use super::batches::Job;
use super::confirms::{Confirmed, Confirms};
use crate::error::{channel_code, unavailable};
use crate::link::{self, PATIENCE};
use crate::{RabbitMq, record};

type Publishing = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

pub(super) struct Channel {
    link: Link,
    channel: lapin::Channel,
    exchange: ShortString,
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    confirms: Confirms,
    woken: Arc<Woken>,
    next: u64,
    /// The error of a message that failed without an answer of the broker.
    failure: Option<lapin::Error>,
}

/// The connection under a channel.
pub(super) struct Link {
    pub(super) connection: Connection,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

struct Unconfirmed {
    job: Job,
    topic: Arc<str>,
    key: Option<Bytes>,
    id: Option<Bytes>,
    payload: Bytes,
    /// `None` once it is completed.
    publishing: Option<(Publishing, Waker)>,
}

/// The numbers of messages with news, in the order of the news.
#[derive(Default)]
struct Woken {
    numbers: Mutex<Vec<u64>>,
    notify: Notify,
}

impl Woken {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct News {
    number: u64,
    woken: Arc<Woken>,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.numbers.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        self.woken.notify.notify_one();
    }
}

impl Link {
    pub(super) async fn open(rabbit: &RabbitMq) -> Result<Self, Error> {
        let connection = rabbit.connect(&rabbit.connection_name("publisher")).await?;
        let events = connection.events_listener().boxed();
        Ok(Self { connection, events })
    }

    /// Opens a channel.
    pub(super) async fn channel(self, exchange: &str) -> Result<Channel, Error> {
        let opening = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let failed = |error| unavailable("rabbitmq opened no channel", error);
        let channel = match tokio::time::timeout(PATIENCE, opening).await {
            Ok(opened) => opened.map_err(failed)?,
            Err(_) => return Err(Error::new(ErrorKind::Unavailable, "rabbitmq opened no channel in time")),
        };
        Ok(Channel {
            link: self,
            channel,
            exchange: exchange.into(),
            unconfirmed: BTreeMap::new(),
            confirms: Confirms::default(),
            woken: Arc::default(),
            next: 0,
            failure: None,
        })
    }
}

impl Channel {
    /// Returns how many messages are unconfirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Returns the jobs that are unconfirmed.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.unconfirmed.values().map(|unconfirmed| &unconfirmed.job)
    }

    /// Returns whether more messages may be sent.
    pub(super) fn takes_more(&self) -> bool {
        self.channel.status().connected() && self.link.connection.status().connected()
    }

    /// Returns whether results may still arrive: a channel that the broker is closing has not reported the reason to
    /// every message yet.
    pub(super) fn is_open(&self) -> bool {
        self.takes_more() || self.is_closing()
    }

    fn is_closing(&self) -> bool {
        self.link.connection.status().connected()
            && self.unconfirmed.values().any(|unconfirmed| unconfirmed.publishing.is_some())
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.link.connection.status().blocked()
    }

    /// Returns the largest frame that both sides agreed on.
    pub(super) fn frame(&self) -> usize {
        match self.link.connection.configuration().frame_max() {
            0 => usize::MAX,
            frame => frame as usize,
        }
    }

    /// Sends a message; the order of calls is the order on the wire.
    pub(super) fn send(&mut self, mut job: Job, message: &Message, properties: BasicProperties) {
        let number = self.next;
        self.next += 1;
        job.sent = true;
        let (channel, exchange) = (self.channel.clone(), self.exchange.clone());
        let (routing_key, payload) = (ShortString::from(&*message.topic), message.payload.clone());
        let mut publishing: Publishing = Box::pin(async move {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let sent = channel.basic_publish(exchange, routing_key, options, &payload, properties);
            sent.await?.await
        });
        let waker = Waker::from(Arc::new(News { number, woken: Arc::clone(&self.woken) }));
        // The first poll queues the frames. Its result is examined in turn.
        if let Poll::Ready(completed) = publishing.as_mut().poll(&mut Context::from_waker(&waker)) {
            publishing = Box::pin(std::future::ready(completed));
            waker.wake_by_ref();
        }
        let unconfirmed = Unconfirmed {
            job,
            topic: message.topic.clone(),
            key: message.key.clone(),
            id: message.headers.get(ID).cloned(),
            payload: message.payload.clone(),
            publishing: Some((publishing, waker)),
        };
        self.unconfirmed.insert(number, unconfirmed);
    }

    /// Waits until there is news.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = self.woken.notify.notified() => {}
            Some(event) = self.link.events.next() => tracing::debug!(?event, "news from rabbitmq"),
        }
    }

    /// Examines all messages with news, until there is none.
    ///
    /// # Errors
    /// Fails if the channel is dead; [`end`](Self::end) then returns the unconfirmed messages.
    pub(super) fn look(&mut self) -> Result<Vec<(Job, Confirmed)>, Broken> {
        loop {
            let numbers = self.woken.take();
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                let Some(unconfirmed) = self.unconfirmed.get_mut(&number) else { continue };
                let Some((publishing, waker)) = unconfirmed.publishing.as_mut() else { continue };
                let Poll::Ready(completed) = publishing.as_mut().poll(&mut Context::from_waker(waker)) else {
                    continue;
                };
                unconfirmed.publishing = None;
                match completed {
                    Ok(confirmation) => self.completed(number, confirmation)?,
                    Err(error) => {
                        self.failure.take_if(|known| !known.is_amqp_error());
                        self.failure.get_or_insert(error);
                    }
                }
            }
        }
        // The broker's reason explains more than a closed channel, but may arrive a moment later: a message that was
        // sent meanwhile did not leave the process.
        if let Some(failure) = self
            .failure
            .take_if(|known| known.is_amqp_error())
            .or_else(|| if self.is_closing() { None } else { self.failure.take() })
        {
            return Err(Broken::from(failure));
        }
        let decided = self.confirms.decide().into_iter();
        Ok(decided
            .filter_map(|(number, confirmed)| Some((self.unconfirmed.remove(&number)?.job, confirmed)))
            .collect())
    }

    fn completed(&mut self, number: u64, confirmation: Confirmation) -> Result<(), Broken> {
        let (acked, returned) = match confirmation {
            Confirmation::Ack(returned) => (true, returned),
            Confirmation::Nack(returned) => (false, returned),
            Confirmation::NotRequested => return Err(Broken::because("channel is not in confirm mode")),
        };
        let owner = match returned {
            None => None,
            Some(returned) => match self.owner(returned) {
                Some(owner) => Some(owner),
                None => return Err(Broken::because("rabbitmq returned a message that was not sent")),
            },
        };
        self.confirms.completed(number, acked, owner);
        Ok(())
    }

    /// Finds the message that was returned. Of equal ones it is the first: the broker returns them in order.
    fn owner(&self, returned: BasicReturnMessage) -> Option<u64> {
        let (routing_key, delivery) = (returned.delivery.routing_key.clone(), returned.delivery);
        let found = record::read(&Arc::from(routing_key.as_str()), &delivery.properties, delivery.data);
        let found_id = found.headers.get(ID);
        let mut candidates = self.unconfirmed.iter().filter(|(number, sent)| {
            sent.topic == found.topic
                && sent.id.as_ref() == found_id
                && sent.key == found.key
                && sent.payload == found.payload
                && !self.confirms.is_returned(**number)
        });
        candidates.next().map(|(number, _)| *number)
    }

    /// Closes the channel and its connection in order.
    pub(super) async fn close(self) {
        link::close_channel(&self.channel).await;
        link::close(&self.link.connection).await;
    }

    /// Ends the channel: returns the connection and the unconfirmed jobs in the order of sending.
    pub(super) fn end(self) -> (Link, Vec<Job>) {
        (self.link, self.unconfirmed.into_values().map(|unconfirmed| unconfirmed.job).collect())
    }
}

/// The reason for a dead channel.
pub(super) struct Broken {
    /// The code with which the broker closed the channel; `None` if the connection ended.
    pub(super) code: Option<u16>,
    pub(super) error: Error,
}

impl Broken {
    fn because(text: &'static str) -> Self {
        Self { code: None, error: Error::new(ErrorKind::Other, text) }
    }
}

impl From<lapin::Error> for Broken {
    fn from(error: lapin::Error) -> Self {
        Self { code: channel_code(&error), error: unavailable("rabbitmq ended the channel", error) }
    }
}
