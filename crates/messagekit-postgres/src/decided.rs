//! Up to which place of the outbox everything is committed or never will be.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messagekit::Error;
use sqlx::PgConnection;

use crate::SchemaName;
use crate::tables::pending;

/// How old the answer may be: an older one is as true, and asking costs a round trip.
const FRESH: Duration = Duration::from_millis(50);

/// How the names of prepared transactions begin: no backend has them any more.
const PREPARED: &str = "-1/";

/// What a store knows of it.
///
/// Whoever writes an event locks the table before it draws a place, and until its transaction ends. So when the last place was
/// drawn before the locks were looked at, and none of those who held one then holds it now, every place up to that one is
/// decided. Transactions that wrote no event do not matter, however long they last.
#[derive(Default)]
pub(crate) struct Decided {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    upto: i64,
    /// A place, and the transactions that may hold an earlier one.
    next: Option<Candidate>,
    /// The last place that was drawn, as the last look saw it.
    last: i64,
    /// When that look was answered.
    learned: Option<Instant>,
    looked: Option<Instant>,
}

struct Candidate {
    place: i64,
    writers: BTreeSet<String>,
}

impl Decided {
    /// Returns the place, after a look at the writers unless there was one a moment ago.
    pub(crate) async fn upto(
        &self,
        connection: &mut PgConnection,
        schema: &SchemaName,
    ) -> Result<i64, Error> {
        let began = Instant::now();
        {
            let mut known = self.known();
            if known.looked.is_some_and(|looked| began.saturating_duration_since(looked) < FRESH) {
                return Ok(known.upto);
            }
            // Of several who read at once, one looks.
            known.looked = Some(began);
        }
        let (place, writers) = pending::writers(connection, schema).await?;
        let mut known = self.known();
        known.learn(began, Instant::now(), place, writers);
        Ok(known.upto)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, began: Instant, answered: Instant, place: i64, writers: BTreeSet<String>) {
        // A look that was late knows less than what was learned since, or asked a server that is gone.
        if self.learned.is_some_and(|learned| began < learned) {
            return;
        }
        if place < self.last {
            // A failover has lost the last places, and they are given again: what was decided is not.
            (self.upto, self.next) = (0, None);
        }
        (self.last, self.learned) = (place, Some(answered));
        // A transaction has another name once it is prepared for a commit in two phases, so nobody can say which of those who
        // wrote before it is.
        let is_prepared = writers.iter().any(|writer| writer.starts_with(PREPARED));
        if let Some(candidate) = &self.next {
            if is_prepared || !candidate.writers.is_disjoint(&writers) {
                return;
            }
            self.upto = self.upto.max(candidate.place);
        }
        self.next = match writers.is_empty() {
            true => {
                self.upto = self.upto.max(place);
                None
            }
            false => Some(Candidate { place, writers }),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after looks, each of which took from one millisecond to another.
    struct Looks {
        begin: Instant,
        known: Known,
    }

    impl Looks {
        fn new() -> Self {
            Self { begin: Instant::now(), known: Known::default() }
        }

        fn learn(&mut self, from: u64, to: u64, place: i64, writers: &[&str]) -> i64 {
            let [began, answered] = [from, to].map(|millis| self.begin + Duration::from_millis(millis));
            let writers = writers.iter().map(|writer| (*writer).to_owned()).collect();
            self.known.learn(began, answered, place, writers);
            self.known.upto
        }
    }

    #[test]
    fn place_is_decided_when_all_who_may_hold_an_earlier_one_have_ended() {
        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 5, &[]), 5);
        assert_eq!(looks.learn(50, 51, 9, &["a", "b"]), 5);
        assert_eq!(looks.learn(200, 201, 12, &["b", "c"]), 5, "b may hold one below 9");
        assert_eq!(looks.learn(150, 250, 11, &["a"]), 5, "a look that was late says nothing about c");
        assert_eq!(looks.learn(300, 301, 20, &["c", "d"]), 9, "c came later, and may hold one above it");
        assert_eq!(looks.learn(350, 351, 30, &["e"]), 20);
        assert_eq!(looks.learn(400, 401, 30, &[]), 30);
        assert_eq!(looks.learn(0, 420, 4, &[]), 30, "a look that was late takes nothing back");
        assert_eq!(looks.learn(450, 451, 40, &["3/7"]), 30);
        assert_eq!(looks.learn(500, 501, 41, &["-1/900"]), 30, "it may be the same one, prepared");
        assert_eq!(looks.learn(550, 551, 42, &["-1/900", "3/8"]), 30);
        assert_eq!(looks.learn(600, 601, 43, &["3/8"]), 40, "it has ended");
    }

    /// A standby that became the server may not have heard of the last places.
    #[test]
    fn nothing_is_decided_any_more_when_places_are_given_again() {
        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 1_000, &[]), 1_000);
        assert_eq!(looks.learn(50, 51, 950, &["a"]), 0, "a may hold any");
        assert_eq!(looks.learn(100, 101, 960, &["a", "b"]), 0);
        assert_eq!(looks.learn(150, 151, 970, &["b"]), 950);
        assert_eq!(looks.learn(200, 201, 900, &[]), 900);
        assert_eq!(looks.learn(199, 250, 1_001, &[]), 900, "the former server was slow to answer");

        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 950, &["a"]), 0);
        assert_eq!(looks.learn(50, 51, 1_000, &["a", "b"]), 0);
        assert_eq!(looks.learn(100, 101, 960, &["c"]), 0, "c may hold one that was given again");
        assert_eq!(looks.learn(150, 151, 961, &[]), 961);
    }
}
