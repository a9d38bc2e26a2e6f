//! Calls of one process for one consumer that wait at the same time share a transaction.
//!
//! The first one has its turn at once, alone. Those that come while its transaction runs have the next one, and so on: none waits by
//! the clock. A turn is a task of its own, so that a caller that gives up, or is not polled for a while, stops none of the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::{self, Handle};

use super::call::Call;

/// The calls that wait in this process, by their consumer and topic. A store that has one shares it between its handles.
#[derive(Default)]
pub struct ClaimTurns(Mutex<HashMap<Of, Weak<Waiting>>>);

/// A consumer and a topic, and the runtime on which their callers wait: a turn must not depend on a runtime that others drive.
type Of = (Arc<str>, Arc<str>, runtime::Id);

/// The calls of one consumer in one topic, whose callers wait on one runtime.
pub(super) struct Waiting {
    pub(super) runtime: Handle,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) calls: Vec<Box<dyn Call>>,
    /// A task serves a turn.
    pub(super) is_served: bool,
}

impl ClaimTurns {
    pub(super) fn of(&self, consumer: &Arc<str>, topic: &Arc<str>, runtime: Handle) -> Arc<Waiting> {
        let (key, mut known) = ((consumer.clone(), topic.clone(), runtime.id()), lock(&self.0));
        if let Some(waiting) = known.get(&key).and_then(Weak::upgrade) {
            return waiting;
        }
        // Others may have ended, and are as many as the consumers at most.
        known.retain(|_, waiting| waiting.strong_count() > 0);
        let waiting = Arc::new(Waiting { runtime, state: Mutex::default() });
        known.insert(key, Arc::downgrade(&waiting));
        waiting
    }
}

impl fmt::Debug for ClaimTurns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimTurns").finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
