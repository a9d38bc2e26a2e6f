//! A handler that does what a test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use messagekit::memory::{MemoryStore, MemoryTx};
use messagekit::{Envelope, Error, ErrorKind, Event, HandlerError, Message, OutboxRows};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::fixture::CALM_KEY;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order")]
pub(crate) struct Placed {
    pub(crate) order: String,
    pub(crate) n: i64,
}

/// What the handler does with a message in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Apply,
    /// Fails in a way that may pass.
    Fail,
    Permanent,
    Panic,
    /// Takes this long, then applies.
    Take(Duration),
    /// Applies, and swallows the error of a later statement.
    Swallow,
    /// A dependency is down.
    Unavailable,
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

/// What the handler is to do, and what it was asked to do.
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

    /// The coming runs of a message act like this; then it applies.
    pub(crate) fn next(&self, id: &str, acts: impl IntoIterator<Item = Action>) {
        self.plan(id, acts, Action::Apply);
    }

    /// Every run of a message acts like this, until told otherwise.
    pub(crate) fn always(&self, id: &str, act: Action) {
        self.plan(id, [], act);
    }

    /// The coming runs of a message act like this, all later ones like that.
    pub(crate) fn plan(&self, id: &str, acts: impl IntoIterator<Item = Action>, then: Action) {
        self.plans.lock().expect("plans").insert(id.to_owned(), (acts.into_iter().collect(), then));
    }

    /// From now on everything applies.
    pub(crate) fn heal(&self) {
        self.plans.lock().expect("plans").clear();
    }

    /// Without those of a calm start.
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
}

/// The handler: its effect is a row in the outbox, so that the order of the commits can be seen.
pub(crate) async fn apply(
    script: &Script,
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    let attempt = event.delivery().map_or(0, |delivery| delivery.attempt);
    script.runs.lock().expect("runs").push(Run { id: id.clone(), attempt, at: Instant::now() });
    let act = script.act(&id);
    match act {
        Action::Apply | Action::Swallow => {}
        Action::Take(time) => tokio::time::sleep(time).await,
        Action::Fail => return Err(HandlerError::retryable("no stock yet")),
        Action::Permanent => return Err(HandlerError::permanent("no such customer")),
        // A panic without the noise of its hook.
        Action::Panic => std::panic::resume_unwind(Box::new("boom")),
        Action::Unavailable => return Err(HandlerError::unavailable("payment service is down")),
        Action::Conflict => return Err(Error::new(ErrorKind::Conflict, "deadlock").into()),
        Action::TransactionTimeout => {
            return Err(Error::new(ErrorKind::TransactionTimeout, "lock held for too long").into());
        }
    }
    script.store.write(tx, &[Message::new("applied", id)]).await?;
    if act == Action::Swallow {
        tx.poison();
    }
    Ok(())
}
