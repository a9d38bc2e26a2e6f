//! Turns of the tests of one program that share services: some of them stop the services for everybody.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The turns of one program: several tests together, or one alone.
///
/// All tests have to be started at once (`package.metadata.threads` is above their number), because those that want to be alone
/// wait until no other waits: otherwise each of them would first let the others run dry.
#[derive(Debug)]
pub struct Turns {
    at_once: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Tests that run together.
    running: usize,
    /// Tests that wait to run together.
    waiting: usize,
    /// One of those that run one after another, beside the others, runs.
    is_single: bool,
    is_alone: bool,
}

/// The turn of a test. A drop ends it.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Together,
    Single,
    Alone,
}

impl Turns {
    /// Lets at most `at_once` tests run together.
    pub const fn of(at_once: usize) -> Self {
        let state = State { running: 0, waiting: 0, is_single: false, is_alone: false };
        Self { at_once, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until no test runs alone, and there is room. It blocks the thread.
    pub fn together(&self) -> Turn<'_> {
        self.with_others(Kind::Together)
    }

    /// Waits like [`together`](Self::together), and until no other test that was begun by this runs.
    pub fn single(&self) -> Turn<'_> {
        self.with_others(Kind::Single)
    }

    fn with_others(&self, kind: Kind) -> Turn<'_> {
        let mut state = self.state();
        state.waiting += 1;
        while state.is_alone || state.running == self.at_once || (kind == Kind::Single && state.is_single) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.running += 1;
        state.is_single |= kind == Kind::Single;
        Turn { turns: self, kind }
    }

    /// Waits until no other test runs or waits to run with others. It blocks the thread.
    pub fn alone(&self) -> Turn<'_> {
        let mut state = self.state();
        while state.is_alone || state.running + state.waiting > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_alone = true;
        Turn { turns: self, kind: Kind::Alone }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        match self.kind {
            Kind::Alone => state.is_alone = false,
            Kind::Together => state.running -= 1,
            Kind::Single => {
                state.running -= 1;
                state.is_single = false;
            }
        }
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_test_that_is_alone_runs_beside_no_other() {
        let (turns, running, most) = (Turns::of(3), AtomicUsize::new(0), AtomicUsize::new(0));
        let single = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..60 {
                let (turns, running, most, single) = (&turns, &running, &most, &single);
                scope.spawn(move || {
                    let (alone, is_single) = (number % 5 == 0, number % 5 == 1);
                    let _turn = match number % 5 {
                        0 => turns.alone(),
                        1 => turns.single(),
                        _ => turns.together(),
                    };
                    let singles = single.fetch_add(usize::from(is_single), Ordering::SeqCst);
                    assert!(singles == 0 || !is_single, "{singles} single ones run");
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    assert!(others == 0 || !alone, "{others} others run");
                    most.fetch_max(others + 1, Ordering::SeqCst);
                    for _ in 0..50 {
                        thread::yield_now();
                        assert!(!alone || running.load(Ordering::SeqCst) == 1, "another one has begun");
                    }
                    single.fetch_sub(usize::from(is_single), Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn a_failed_test_ends_its_turn() {
        let turns = Turns::of(1);
        let failed = thread::scope(|scope| {
            let failing = scope.spawn(|| {
                let _turn = turns.alone();
                panic!("it fails");
            });
            failing.join().is_err()
        });
        assert!(failed);
        drop(turns.together());
        drop(turns.single());
        drop(turns.alone());
    }
}
