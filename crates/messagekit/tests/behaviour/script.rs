//! A handler with scripted results.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::{Envelope, Error, ErrorKind, Event, HandlerError, Message};
use messagekit_memory::{MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::fixture::CALM_KEY;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order")]
pub(crate) struct Placed {
    pub(crate) order: String,
    pub(crate) n: i64,
}

/// The result of one handler run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Apply,
    /// Fails with a transient error.
    Fail,
    /// Fails with a transient error, and asks for this wait.
    FailFor(Duration),
    Permanent,
    Panic,
    /// Applies after this time.
    Take(Duration),
    /// Applies, and swallows the error of a later statement.
    Swallow,
    /// A dependency is down.
    Unavailable,
    /// Fails with an error of another library.
    Foreign,
    /// The database refuses a value.
    BadValue,
    /// The database is away.
    Outage,
    /// The database chose another transaction.
    Conflict,
    /// The database ended the transaction, because it held the write lock for too long.
    TransactionTimeout,
}

/// A run of the handler.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) at: Instant,
}

/// The handler's planned and past runs.
pub(crate) struct Script {
    store: MemoryStore,
    plans: Mutex<BTreeMap<String, (VecDeque<Action>, Action)>>,
    runs: Mutex<Vec<Run>>,
}

impl Script {
    pub(crate) fn new(store: &MemoryStore) -> Self {
        let (plans, runs) = Default::default();
        Self { store: store.clone(), plans, runs }
    }

    /// Sets the results of the next runs of a message; later runs apply.
    pub(crate) fn next(&self, id: &str, acts: impl IntoIterator<Item = Action>) {
        self.plan(id, acts, Action::Apply);
    }

    /// Sets the result of every run of a message until changed.
    pub(crate) fn always(&self, id: &str, act: Action) {
        self.plan(id, [], act);
    }

    /// Sets the results of the next runs of a message, and the result of all later ones.
    pub(crate) fn plan(&self, id: &str, acts: impl IntoIterator<Item = Action>, then: Action) {
        self.plans.lock().expect("plans").insert(id.to_owned(), (acts.into_iter().collect(), then));
    }

    /// Makes every later run apply.
    pub(crate) fn heal(&self) {
        self.plans.lock().expect("plans").clear();
    }

    /// Returns the runs without those of warm-up messages.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let runs = self.runs.lock().expect("runs");
        runs.iter().filter(|run| !run.id.starts_with(CALM_KEY)).cloned().collect()
    }

    pub(crate) fn runs_of(&self, id: &str) -> Vec<Run> {
        self.runs().into_iter().filter(|run| run.id == id).collect()
    }

    pub(crate) fn attempts_of(&self, id: &str) -> Vec<u32> {
        self.runs_of(id).iter().map(|run| run.attempt).collect()
    }

    fn act(&self, id: &str) -> Action {
        let mut plans = self.plans.lock().expect("plans");
        let Some((acts, then)) = plans.get_mut(id) else { return Action::Apply };
        acts.pop_front().unwrap_or(*then)
    }

    /// Notes a run and plays what is planned for it.
    pub(crate) async fn play(&self, event: &Envelope<Placed>) -> Result<Action, HandlerError> {
        crate::watch::beat();
        let id = event.event_id.to_string();
        let attempt = event.delivery().map_or(0, |delivery| delivery.attempt);
        self.runs.lock().expect("runs").push(Run { id: id.clone(), attempt, at: Instant::now() });
        let act = self.act(&id);
        match act {
            Action::Apply | Action::Swallow => {}
            Action::Take(time) => tokio::time::sleep(time).await,
            Action::Fail => return Err(HandlerError::retryable("no stock yet")),
            Action::FailFor(wait) => {
                return Err(HandlerError::retryable("too many requests").retry_after(wait));
            }
            Action::Permanent => return Err(HandlerError::permanent("no such customer")),
            // Panic without the output of the panic hook.
            Action::Panic => std::panic::resume_unwind(Box::new("boom")),
            Action::Unavailable => return Err(HandlerError::unavailable("payment service is down")),
            Action::Foreign => {
                id.parse::<u32>()?;
            }
            Action::BadValue => return Err(Error::new(ErrorKind::InvalidData, "a text with a NUL").into()),
            Action::Outage => return Err(Error::new(ErrorKind::Unavailable, "database is away").into()),
            Action::Conflict => return Err(Error::new(ErrorKind::Conflict, "deadlock").into()),
            Action::TransactionTimeout => {
                return Err(Error::new(ErrorKind::TransactionTimeout, "lock held for too long").into());
            }
        }
        Ok(act)
    }
}

/// The handler: it writes an outbox row, which makes the commit order visible.
pub(crate) async fn apply(
    script: &Script,
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let act = script.play(&event).await?;
    script.store.write(tx, &[Message::new("applied", event.event_id.to_string())]).await?;
    if act == Action::Swallow {
        tx.poison();
    }
    Ok(())
}
