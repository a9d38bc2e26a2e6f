//! A broker that accepts, returns, refuses, loses responses, is slow or silent, as a test requires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::watch;

/// The result of one publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    /// No queue is bound.
    Returned,
    /// A queue is full.
    Nacked,
    /// The broker does not respond.
    Away,
    /// Accepted, and the response is lost.
    TakenUnknown,
    /// Not accepted, and the response is lost.
    LostUnknown,
}

type Script = Box<dyn FnMut(&Message) -> Fate + Send>;

/// Queues of one exchange. A clone is a handle to the same broker.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    blocked: watch::Sender<bool>,
}

struct State {
    script: Script,
    latency: Duration,
    taken: Vec<Message>,
    publishes: u64,
    unconfirmed: HashMap<Bytes, usize>,
    all_unconfirmed: usize,
    most_unconfirmed: usize,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let state = State {
            script: Box::new(|_| Fate::Taken),
            latency: Duration::ZERO,
            taken: Vec::new(),
            publishes: 0,
            unconfirmed: HashMap::new(),
            all_unconfirmed: 0,
            most_unconfirmed: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), blocked: watch::Sender::new(false) }))
    }

    pub(crate) fn script(&self, script: impl FnMut(&Message) -> Fate + Send + 'static) {
        self.with(|state| state.script = Box::new(script));
    }

    pub(crate) fn latency(&self, latency: Duration) {
        self.with(|state| state.latency = latency);
    }

    /// Stops responding while it is blocked.
    pub(crate) fn block(&self, blocked: bool) {
        self.0.blocked.send_replace(blocked);
    }

    /// Returns the content of the queues in order of arrival.
    pub(crate) fn taken(&self) -> Vec<Message> {
        self.with(|state| state.taken.clone())
    }

    pub(crate) fn taken_ids(&self) -> Vec<String> {
        self.taken().iter().map(|message| message.headers.text("id").unwrap().to_owned()).collect()
    }

    pub(crate) fn publishes(&self) -> u64 {
        self.with(|state| state.publishes)
    }

    pub(crate) fn most_unconfirmed(&self) -> usize {
        self.with(|state| state.most_unconfirmed)
    }

    fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.0.state.lock().unwrap())
    }

    async fn publish_one(&self, message: &Message) -> Published {
        let latency = self.with(|state| {
            state.publishes += 1;
            state.latency
        });
        let _unconfirmed = Unconfirmed::new(self, message);
        let mut blocked = self.0.blocked.subscribe();
        let _ = blocked.wait_for(|blocked| !blocked).await;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        tokio::task::yield_now().await;
        self.with(|state| {
            let fate = (state.script)(message);
            if matches!(fate, Fate::Taken | Fate::TakenUnknown) {
                state.taken.push(message.clone());
            }
            let refused = |refusal, kind, text| Err(PublishError { refusal, error: Error::new(kind, text) });
            match fate {
                Fate::Taken => Ok(()),
                Fate::Returned => {
                    refused(PublishErrorKind::Rejected, ErrorKind::NotFound, "no queue is bound")
                }
                Fate::Nacked => refused(PublishErrorKind::Full, ErrorKind::Unavailable, "queue is full"),
                Fate::Away => {
                    refused(PublishErrorKind::Unavailable, ErrorKind::Unavailable, "broker is away")
                }
                Fate::TakenUnknown | Fate::LostUnknown => {
                    refused(PublishErrorKind::Unknown, ErrorKind::OutcomeUnknown, "connection lost")
                }
            }
        })
    }
}

impl Publisher for Broker {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for message in batch {
                answers.push(self.publish_one(message).await);
            }
            answers
        })
    }

    fn max_bytes(&self) -> usize {
        10_000
    }
}

/// Counts messages in flight, and checks that a key of a partition has at most one.
struct Unconfirmed<'a>(&'a Broker, Option<Bytes>);

impl<'a> Unconfirmed<'a> {
    fn new(broker: &'a Broker, message: &Message) -> Self {
        let key = message.key.clone();
        broker.with(|state| {
            state.all_unconfirmed += 1;
            state.most_unconfirmed = state.most_unconfirmed.max(state.all_unconfirmed);
            if let Some(key) = &key {
                *state.unconfirmed.entry(key.clone()).or_default() += 1;
            }
        });
        Self(broker, key)
    }
}

impl Drop for Unconfirmed<'_> {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.all_unconfirmed -= 1;
            if let Some(key) = &self.1 {
                let count = state.unconfirmed.get_mut(key).unwrap();
                *count -= 1;
            }
        });
    }
}

impl Broker {
    /// Returns the number of messages of a key in flight.
    pub(crate) fn unconfirmed_of(&self, key: &str) -> usize {
        self.with(|state| state.unconfirmed.get(key.as_bytes()).copied().unwrap_or_default())
    }
}
