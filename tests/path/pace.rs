//! The number of orders that the writers may still place: a test can kill a service while work is unfinished.

use std::sync::{Condvar, Mutex};

#[derive(Default)]
struct State {
    allowed: usize,
    is_open: bool,
    is_over: bool,
}

/// Permits that writers take one by one.
#[derive(Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
    changed: Condvar,
}

impl Pace {
    /// Adds permits.
    pub(crate) fn allow(&self, more: usize) {
        self.change(|state| state.allowed += more);
    }

    /// Permits everything from now on.
    pub(crate) fn open(&self) {
        self.change(|state| state.is_open = true);
    }

    /// Stops the writers without placing the remaining orders.
    pub(crate) fn end(&self) {
        self.change(|state| state.is_over = true);
    }

    /// Returns whether every permit has been taken.
    pub(crate) fn is_used_up(&self) -> bool {
        self.state.lock().expect("no writer panicked here").allowed == 0
    }

    /// Waits for a permit. `false` means that no more orders are placed, or no spare ones once everything is permitted.
    pub(crate) fn take(&self, is_spare: bool) -> bool {
        let state = self.state.lock().expect("no writer panicked here");
        let waiting = |state: &mut State| !state.is_over && !state.is_open && state.allowed == 0;
        let mut state = self.changed.wait_while(state, waiting).expect("no writer panicked here");
        state.allowed = state.allowed.saturating_sub(1);
        !(state.is_over || is_spare && state.is_open)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no writer panicked here"));
        self.changed.notify_all();
    }
}
