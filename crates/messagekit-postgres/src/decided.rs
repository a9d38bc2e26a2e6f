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
        {
            let mut known = self.known();
            if known.looked.is_some_and(|looked| looked.elapsed() < FRESH) {
                return Ok(known.upto);
            }
            // Of several who read at once, one looks.
            known.looked = Some(Instant::now());
        }
        let (place, writers) = pending::writers(connection, schema).await?;
        let mut known = self.known();
        known.learn(place, writers);
        Ok(known.upto)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, place: i64, writers: BTreeSet<String>) {
        // A transaction has another name once it is prepared for a commit in two phases, so nobody can say which of those who
        // wrote before it is.
        let is_prepared = writers.iter().any(|writer| writer.starts_with(PREPARED));
        if let Some(candidate) = &self.next {
            // A look that was late knows less than what was learned since.
            if place < candidate.place {
                return;
            }
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

    #[test]
    fn place_is_decided_when_all_who_may_hold_an_earlier_one_have_ended() {
        let mut known = Known::default();
        let mut learn = |place, writers: &[&str]| {
            known.learn(place, writers.iter().map(|writer| (*writer).to_owned()).collect());
            known.upto
        };
        assert_eq!(learn(5, &[]), 5);
        assert_eq!(learn(9, &["a", "b"]), 5);
        assert_eq!(learn(12, &["b", "c"]), 5, "b may hold one below 9");
        assert_eq!(learn(11, &["a"]), 5, "a look that was late says nothing about c");
        assert_eq!(learn(20, &["c", "d"]), 9, "c came later, and may hold one above it");
        assert_eq!(learn(30, &["e"]), 20);
        assert_eq!(learn(30, &[]), 30);
        assert_eq!(learn(4, &[]), 30, "a look that was late takes nothing back");
        assert_eq!(learn(40, &["3/7"]), 30);
        assert_eq!(learn(41, &["-1/900"]), 30, "it may be the same one, prepared");
        assert_eq!(learn(42, &["-1/900", "3/8"]), 30);
        assert_eq!(learn(43, &["3/8"]), 40, "it has ended");
    }
}
