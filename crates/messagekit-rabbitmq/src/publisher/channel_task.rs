//! The task of a publisher: receives orders, keeps one channel busy, sends answers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::adapter::PublishErrorKind;
use messagekit::{Error, ErrorKind};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::batches::{Batches, Job, Order};
use super::channel::{Broken, Channel, Link};
use super::confirms::Confirmed;
use crate::error::{NOT_FOUND, refused};
use crate::link::{self, Pause};
use crate::{RabbitMq, record};

pub(super) struct ChannelTask {
    rabbit: RabbitMq,
    exchange: Arc<str>,
    orders: mpsc::UnboundedReceiver<Order>,
    blocked: Arc<AtomicBool>,
    batches: Batches,
    /// The unconfirmed jobs of a channel that the broker closed because of one of them: each is sent alone.
    alone: VecDeque<Job>,
    /// One of them is in flight.
    probing: bool,
    state: State,
    pause: Pause,
    /// The error of the last attempt to reach the broker.
    trouble: Option<Error>,
}

enum State {
    /// Nothing to send yet, or no connection any more.
    Idle,
    Opening(Pin<Box<dyn Future<Output = Result<Channel, Error>> + Send>>),
    Open(Box<Channel>),
}

enum Event {
    Ordered(Option<Order>),
    Opened(Result<Box<Channel>, Error>),
    Changed,
    Overdue,
}

impl ChannelTask {
    pub(super) fn new(
        rabbit: RabbitMq,
        exchange: &str,
        orders: mpsc::UnboundedReceiver<Order>,
        blocked: Arc<AtomicBool>,
    ) -> Self {
        Self {
            rabbit,
            exchange: Arc::from(exchange),
            orders,
            blocked,
            batches: Batches::to(exchange),
            alone: VecDeque::new(),
            probing: false,
            state: State::Idle,
            pause: Pause::default(),
            trouble: None,
        }
    }

    /// Runs until the last handle of the publisher is dropped; then no caller waits for an answer.
    pub(super) async fn run(mut self) {
        loop {
            self.work();
            match self.event().await {
                Event::Ordered(Some(order)) => {
                    self.batches.add(order);
                    while let Ok(order) = self.orders.try_recv() {
                        self.batches.add(order);
                    }
                }
                Event::Ordered(None) => break,
                Event::Opened(Ok(channel)) => self.state = State::Open(channel),
                Event::Opened(Err(error)) => {
                    tracing::warn!(
                        error = messagekit::chain(&error),
                        "publisher has no connection to rabbitmq"
                    );
                    self.trouble = Some(error);
                    self.state = State::Idle;
                }
                Event::Changed => {}
                Event::Overdue => self.expire(),
            }
        }
        if let State::Open(channel) = self.state {
            channel.close().await;
        }
    }

    async fn event(&mut self) -> Event {
        let deadline = self.batches.deadline();
        let state = &mut self.state;
        let working = async {
            match state {
                State::Idle => std::future::pending().await,
                State::Opening(opening) => Event::Opened(opening.await.map(Box::new)),
                State::Open(channel) => {
                    channel.changed().await;
                    Event::Changed
                }
            }
        };
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = working => event,
            order = self.orders.recv() => Event::Ordered(order),
            () = overdue => Event::Overdue,
        }
    }

    /// Does the work that is possible now: records the results of messages, and sends.
    fn work(&mut self) {
        if let State::Open(channel) = &mut self.state {
            match channel.look() {
                Ok(decided) => {
                    if !decided.is_empty() {
                        self.pause.reset();
                        self.trouble = None;
                    }
                    for (job, confirmed) in decided {
                        let answer = self.answer(confirmed);
                        self.batches.answer(&job, answer);
                    }
                }
                Err(broken) => self.broken(broken),
            }
        }
        if let State::Open(channel) = &self.state
            && !channel.is_open()
        {
            let error = Error::new(ErrorKind::Unavailable, "connection to rabbitmq is gone");
            self.broken(Broken { code: None, error });
        }
        match &mut self.state {
            State::Idle if !self.batches.is_empty() => self.open(None),
            State::Idle | State::Opening(_) => {}
            State::Open(_) => self.send(),
        }
        let blocked = matches!(&self.state, State::Open(channel) if channel.is_blocked());
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    fn answer(&self, confirmed: Confirmed) -> Result<(), (PublishErrorKind, Error)> {
        match confirmed {
            Confirmed::Taken => Ok(()),
            Confirmed::Unroutable => {
                let text = match &*self.exchange {
                    "" => "queue is not there (312 NO_ROUTE)".to_owned(),
                    exchange => {
                        format!("no queue is bound to exchange {exchange} for the routing key (312 NO_ROUTE)")
                    }
                };
                Err((PublishErrorKind::Rejected, Error::new(ErrorKind::NotFound, text)))
            }
            Confirmed::Refused => {
                let text = "queue refused the message, as it does when it is full";
                Err((PublishErrorKind::Full, Error::new(ErrorKind::Unavailable, text)))
            }
        }
    }

    fn send(&mut self) {
        let State::Open(channel) = &mut self.state else { return };
        if channel.is_blocked() || !channel.takes_more() {
            return;
        }
        let frame = channel.frame();
        loop {
            self.probing &= channel.unconfirmed() > 0;
            let window = if self.probing || !self.alone.is_empty() { 1 } else { self.rabbit.window };
            if channel.unconfirmed() >= window {
                return;
            }
            let alone = self.alone.pop_front();
            let is_alone = alone.is_some();
            let Some(job) = alone.or_else(|| self.batches.take()) else { return };
            let wanted = self.batches.is_wanted(&job);
            match self.batches.message(&job).filter(|_| wanted) {
                None => self.batches.give_up(&job),
                Some(message) => match record::properties(message, frame) {
                    Ok(properties) => {
                        channel.send(job, message, properties);
                        self.probing |= is_alone;
                    }
                    Err(error) => self.batches.answer(&job, Err((PublishErrorKind::Rejected, error))),
                },
            }
        }
    }

    /// Opens a channel on the remaining connection, or on a new one.
    fn open(&mut self, link: Option<Link>) {
        let (rabbit, exchange) = (self.rabbit.clone(), Arc::clone(&self.exchange));
        let pause = self.pause.next();
        let again = self.trouble.is_some();
        self.state = State::Opening(Box::pin(async move {
            if let Some(link) = link.filter(|link| link.connection.status().connected()) {
                return link.channel(&exchange).await;
            }
            if again {
                tokio::time::sleep(pause).await;
            }
            Link::open(&rabbit).await?.channel(&exchange).await
        }));
    }

    /// Handles the jobs of a dead channel.
    fn broken(&mut self, broken: Broken) {
        let State::Open(channel) = std::mem::replace(&mut self.state, State::Idle) else { return };
        let (link, mut jobs) = channel.end();
        match broken.code {
            Some(code) if jobs.len() == 1 => {
                // It was alone, so the broker closed the channel because of it.
                let error = refused(&self.exchange, code, &broken.error);
                if code == NOT_FOUND {
                    // All jobs have the same exchange.
                    jobs.extend(self.alone.drain(..));
                }
                for job in jobs {
                    self.batches.answer(&job, Err((PublishErrorKind::Rejected, error.clone())));
                }
            }
            Some(_) => self.alone.extend(jobs),
            None => {
                jobs.extend(self.alone.drain(..));
                let text =
                    "connection to rabbitmq ended before it confirmed: the message may be published or not";
                let error = Error::new(ErrorKind::OutcomeUnknown, text).caused_by(broken.error.clone());
                for job in jobs {
                    self.batches.answer(&job, Err((PublishErrorKind::Unknown, error.clone())));
                }
                self.trouble = Some(broken.error);
            }
        }
        if !self.batches.is_empty() || link.connection.status().connected() {
            self.open(Some(link));
        }
    }

    /// Answers overdue orders. Drops a connection whose confirmations are missing, unless the broker has reported
    /// that it blocks publishers: it will resume then.
    fn expire(&mut self) {
        let mut sent: Vec<Job> = self.alone.iter().cloned().collect();
        let mut blocked = false;
        if let State::Open(channel) = &self.state {
            sent.extend(channel.jobs().cloned());
            blocked = channel.is_blocked();
        }
        let text = match blocked {
            true => "rabbitmq has stopped publishers, for want of memory or disk: the message was not sent",
            false => "rabbitmq did not take the message in time, and it was not sent",
        };
        let mut unsent = Error::new(ErrorKind::Unavailable, text);
        if let Some(trouble) = &self.trouble {
            unsent = unsent.caused_by(trouble.clone());
        }
        let any = self.batches.expire(Instant::now(), &sent, &unsent);
        if any && !blocked && matches!(self.state, State::Open(_)) {
            let State::Open(channel) = std::mem::replace(&mut self.state, State::Idle) else { return };
            let (link, jobs) = channel.end();
            tokio::spawn(async move { link::close(&link.connection).await });
            let text = "rabbitmq did not confirm in time: the message may be published or not";
            let error = Error::new(ErrorKind::OutcomeUnknown, text);
            for job in jobs.into_iter().chain(self.alone.drain(..)) {
                self.batches.answer(&job, Err((PublishErrorKind::Unknown, error.clone())));
            }
        }
    }
}
