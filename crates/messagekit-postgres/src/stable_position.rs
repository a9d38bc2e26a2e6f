//! Up to which place of the outbox everything is committed or never will be.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messagekit::Error;

use crate::SchemaName;
use crate::links::Link;
use crate::tables::pending::{self, Look};

/// How old the answer may be: an older one is as true, and asking costs a round trip.
const FRESH: Duration = Duration::from_millis(50);

/// How the names of prepared transactions begin: no backend has them any more.
const PREPARED: &str = "-1/";

/// What a store knows of it.
///
/// Whoever writes an event locks the table before it draws a place, and until its transaction ends. So when the last place was
/// drawn before the locks were looked at, and none of those who held one then holds it now, every place up to that one is
/// decided. Transactions that wrote no event do not matter, however long they last.
///
/// A server that was started anew, has recovered, or took another's place may have lost the last places and give them again. By
/// the next look it may have given more than were lost, so the places tell nothing: what is known is known of one life of one
/// server.
#[derive(Default)]
pub(crate) struct StablePosition {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Of which life of which server all of this is known.
    server: Option<String>,
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

impl StablePosition {
    /// Returns the place, after a look at the writers unless there was one at the same server a moment ago.
    pub(crate) async fn upto(&self, link: &mut Link, schema: &SchemaName) -> Result<i64, Error> {
        let began = Instant::now();
        {
            let mut known = self.known();
            let is_fresh = known.looked.is_some_and(|looked| began.saturating_duration_since(looked) < FRESH);
            if is_fresh && link.server.is_some() && link.server == known.server {
                return Ok(known.upto);
            }
            // Of several who read at once, one looks.
            known.looked = Some(began);
        }
        let look = pending::writers(&mut link.connection, schema).await?;
        link.server.clone_from(&look.server);
        let mut known = self.known();
        known.learn(began, Instant::now(), look);
        // The look may have been late, and what is known be of another server.
        Ok(if known.server == link.server { known.upto } else { 0 })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, began: Instant, answered: Instant, look: Look) {
        let Look { server, place, writers } = look;
        // A look that was late knows less than what was learned since, or asked a server that is gone.
        if self.learned.is_some_and(|learned| began < learned) {
            return;
        }
        if server != self.server || place < self.last {
            // Places may be given again: what was decided is not.
            (self.upto, self.next) = (0, None);
        }
        (self.server, self.last, self.learned) = (server, place, Some(answered));
        if self.server.is_none() {
            // A standby knows none of its primary's writers.
            return;
        }
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
        server: Option<&'static str>,
    }

    impl Looks {
        fn new() -> Self {
            Self { begin: Instant::now(), known: Known::default(), server: Some("first") }
        }

        fn learn(&mut self, from: u64, to: u64, place: i64, writers: &[&str]) -> i64 {
            let [began, answered] = [from, to].map(|millis| self.begin + Duration::from_millis(millis));
            let writers = writers.iter().map(|writer| (*writer).to_owned()).collect();
            let server = self.server.map(str::to_owned);
            self.known.learn(began, answered, Look { server, place, writers });
            self.known.upto
        }
    }

    #[test]
    fn position_is_stable_once_all_earlier_transactions_have_ended() {
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
    fn stable_position_is_reset_when_positions_are_reused() {
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
    /// By the first look at it the places that were lost have been given again, and more.
    #[test]
    fn stable_position_is_reset_when_another_server_answers() {
        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 1_000, &[]), 1_000);
        looks.server = Some("promoted");
        assert_eq!(looks.learn(50, 51, 1_050, &["a"]), 0, "a may hold 990, which was given again");
        assert_eq!(looks.learn(100, 101, 1_060, &["b"]), 1_050);
        assert_eq!(looks.learn(150, 151, 1_070, &[]), 1_070);

        // Both answer for a while: nothing that one says is taken for the other's.
        looks.server = Some("first");
        assert_eq!(looks.learn(200, 201, 1_100, &["c"]), 0);
        looks.server = Some("promoted");
        assert_eq!(looks.learn(250, 251, 1_100, &["d"]), 0);
    }

    /// Its primary's writers hold no lock there.
    #[test]
    fn a_standby_has_no_stable_position() {
        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 1_000, &[]), 1_000);
        looks.server = None;
        assert_eq!(looks.learn(50, 51, 1_000, &[]), 0);
        assert_eq!(looks.learn(100, 101, 1_010, &[]), 0);
        looks.server = Some("promoted");
        assert_eq!(looks.learn(150, 151, 1_020, &["a"]), 0);
        assert_eq!(looks.learn(200, 201, 1_030, &[]), 1_030);
    }
}
