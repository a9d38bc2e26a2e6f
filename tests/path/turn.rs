//! The turns of these tests. They share a broker and a worker, some use names that are the same for all, and some stop the services.
//! None runs when the services do not answer.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use messagekit_testkit::DEADLINE;
use messagekit_tests::{Turn, Turns, services};

use crate::broker;

/// More at once only wait for each other: each has processes of its own.
static TURNS: Turns = Turns::of(2);
static SERVICES: Services = Services { broken: OnceLock::new() };

/// The interval of checks of services that do not answer.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until no other test runs. It blocks the thread, like the others. The guard is the turn.
///
/// # Panics
/// Panics when the services do not answer. The first test waits for them; later ones fail at once with its reason.
pub(crate) fn alone() -> Turn<'static> {
    answered(TURNS.alone())
}

/// Waits until no test that has to be alone runs. Every name of this test is its own.
///
/// # Panics
/// Panics like [`alone`].
pub(crate) fn together() -> Turn<'static> {
    answered(TURNS.together())
}

/// Waits like [`together`], and until no other test uses the queues of shipping or the names of the examples and pages.
///
/// # Panics
/// Panics like [`alone`].
pub(crate) fn with_fixed_names() -> Turn<'static> {
    answered(TURNS.single())
}

fn answered(turn: Turn<'static>) -> Turn<'static> {
    SERVICES.answer(DEADLINE, look);
    turn
}

fn look() -> Result<(), String> {
    services::status()?;
    broker::answers()
}

/// The services of all tests, and the reason why they are unusable.
struct Services {
    broken: OnceLock<String>,
}

impl Services {
    fn answer(&self, patience: Duration, look: impl Fn() -> Result<(), String>) {
        if let Some(why) = self.broken.get() {
            panic!("not run, as an earlier test has left services that do not answer: {why}");
        }
        let since = Instant::now();
        while let Err(why) = look() {
            if since.elapsed() >= patience {
                let why = self.broken.get_or_init(|| why);
                panic!("the services do not answer within {patience:?}, no further test is run: {why}");
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn services_that_stay_down_cost_one_deadline_for_all_tests() {
        let (services, looks) = (Services { broken: OnceLock::new() }, Cell::new(0));
        let run = || {
            let look = || {
                looks.set(looks.get() + 1);
                Err("kafka down".to_owned())
            };
            let panic = catch_unwind(AssertUnwindSafe(|| services.answer(LOOK, look))).unwrap_err();
            panic.downcast_ref::<String>().unwrap().clone()
        };
        assert_eq!(run(), "the services do not answer within 200ms, no further test is run: kafka down");
        let first = looks.get();
        assert!(first >= 2, "services that are only starting are looked at again");
        for _ in 0..3 {
            assert!(run().ends_with("that do not answer: kafka down"));
        }
        assert_eq!(looks.get(), first);
    }

    #[test]
    fn services_that_come_back_in_time_are_not_broken() {
        let (services, looks) = (Services { broken: OnceLock::new() }, Cell::new(0));
        services.answer(DEADLINE, || {
            looks.set(looks.get() + 1);
            if looks.get() > 2 { Ok(()) } else { Err("postgres starting".to_owned()) }
        });
        assert!(services.broken.get().is_none());
    }
}
