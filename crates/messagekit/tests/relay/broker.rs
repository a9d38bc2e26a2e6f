//! A broker that accepts, rejects, loses responses, is slow or silent, as a test requires.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::watch;

/// The result of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    /// It rejects the message permanently.
    Rejected,
    /// It does not respond.
    Unavailable,
    /// A queue is full.
    Full,
    /// Accepted, and the response is lost.
    TakenUnknown,
    /// Not accepted, and the response is lost.
    LostUnknown,
}

type Script = Box<dyn FnMut(&Message) -> Fate + Send>;
type Waits = Box<dyn FnMut(&Message) -> Duration + Send>;

/// Topics. A clone is a handle to the same broker.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    silent: watch::Sender<HashSet<String>>,
}

struct State {
    script: Script,
    waits: Waits,
    taken: Vec<Message>,
    calls: u64,
    /// Number of calls with an event of this topic and key in flight.
    in_flight: HashMap<(Arc<str>, Option<bytes::Bytes>), usize>,
    most_of_a_key: usize,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let state = State {
            script: Box::new(|_| Fate::Taken),
            waits: Box::new(|_| Duration::ZERO),
            taken: Vec::new(),
            calls: 0,
            in_flight: HashMap::new(),
            most_of_a_key: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), silent: watch::Sender::new(HashSet::new()) }))
    }

    pub(crate) fn script(&self, script: impl FnMut(&Message) -> Fate + Send + 'static) {
        self.with(|state| state.script = Box::new(script));
    }

    /// Sets the delay of each message.
    pub(crate) fn waits(&self, waits: impl FnMut(&Message) -> Duration + Send + 'static) {
        self.with(|state| state.waits = Box::new(waits));
    }

    /// Stops responding for these topics.
    pub(crate) fn silence(&self, topics: &[&str]) {
        self.0.silent.send_replace(topics.iter().map(|topic| (*topic).to_owned()).collect());
    }

    /// Returns the content of the topics in order of arrival.
    pub(crate) fn taken(&self) -> Vec<Message> {
        self.with(|state| state.taken.clone())
    }

    pub(crate) fn taken_count(&self) -> usize {
        self.with(|state| state.taken.len())
    }

    pub(crate) fn taken_ids(&self) -> Vec<String> {
        self.taken().iter().map(|message| message.headers.text("id").unwrap().to_owned()).collect()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.with(|state| state.calls)
    }

    /// Returns the maximum number of simultaneous calls with events of one topic and key.
    pub(crate) fn most_of_a_key(&self) -> usize {
        self.with(|state| state.most_of_a_key)
    }

    fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.0.state.lock().unwrap())
    }

    /// Executes a call. It continues when the caller no longer waits, as a client's threads do.
    async fn take(self, batch: Vec<Message>) -> Vec<Published> {
        let keys: HashSet<_> =
            batch.iter().map(|message| (message.topic.clone(), message.key.clone())).collect();
        self.with(|state| {
            state.calls += 1;
            for key in keys.iter().filter(|key| key.1.is_some()) {
                let count = state.in_flight.entry(key.clone()).or_default();
                *count += 1;
                state.most_of_a_key = state.most_of_a_key.max(*count);
            }
        });
        let mut silent = self.0.silent.subscribe();
        let mut stopped = HashSet::new();
        let mut answers = Vec::new();
        for message in &batch {
            let key = message.key.clone().map(|key| (message.topic.clone(), key));
            if key.as_ref().is_some_and(|key| stopped.contains(key)) {
                answers.push(refused(PublishErrorKind::KeyBlocked, ErrorKind::Unavailable, "behind another"));
                continue;
            }
            let _ = silent.wait_for(|silent| !silent.contains(&*message.topic)).await;
            let wait = self.with(|state| (state.waits)(message));
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let fate = self.with(|state| {
                let fate = (state.script)(message);
                if matches!(fate, Fate::Taken | Fate::TakenUnknown) {
                    state.taken.push(message.clone());
                }
                fate
            });
            if fate != Fate::Taken {
                stopped.extend(key);
            }
            answers.push(match fate {
                Fate::Taken => Ok(()),
                Fate::Rejected => {
                    refused(PublishErrorKind::Rejected, ErrorKind::TooLarge, "larger than the topic takes")
                }
                Fate::Unavailable => {
                    refused(PublishErrorKind::Unavailable, ErrorKind::Unavailable, "topic is full")
                }
                Fate::Full => refused(PublishErrorKind::Full, ErrorKind::Unavailable, "queue is full"),
                Fate::TakenUnknown | Fate::LostUnknown => {
                    refused(PublishErrorKind::Unknown, ErrorKind::OutcomeUnknown, "connection lost")
                }
            });
        }
        tokio::task::yield_now().await;
        self.with(|state| {
            for key in keys.iter().filter(|key| key.1.is_some()) {
                *state.in_flight.get_mut(key).unwrap() -= 1;
            }
        });
        answers
    }
}

fn refused(refusal: PublishErrorKind, kind: ErrorKind, text: &'static str) -> Published {
    Err(PublishError { refusal, error: Error::new(kind, text) })
}

impl Publisher for Broker {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        let call = tokio::spawn(self.clone().take(batch.to_vec()));
        Box::pin(async move { call.await.unwrap() })
    }

    fn max_bytes(&self) -> usize {
        10_000
    }
}
