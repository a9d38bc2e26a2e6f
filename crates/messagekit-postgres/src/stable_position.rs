//! The stable position: up to it, every position of the outbox is committed or will never be.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messagekit::Error;

use crate::SchemaName;
use crate::relay_connections::RelayConnection;
use crate::tables::pending::{self, Look};

/// The maximum age of a cached answer. An older one is still true, but a new one costs a round trip.
const FRESH: Duration = Duration::from_millis(50);

/// The prefix of prepared transactions' names: they no longer have a backend.
const PREPARED: &str = "-1/";

/// The state that a store knows.
///
/// A producer locks the table before it draws a position, and holds the lock until its transaction ends. A query reads
/// the last drawn position first, and then the holders of locks. When none of these holders has its lock any more, every
/// position up to that one is stable. Transactions that wrote no event do not matter, however long they last.
///
/// A server that was restarted, recovered or promoted may have lost the last positions and may assign them again. By the
/// next query it may have assigned more than it lost, so positions alone prove nothing. The state therefore holds for one
/// run of one server only.
#[derive(Default)]
pub(crate) struct StablePosition {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The run of the server that this state belongs to.
    server: Option<String>,
    upto: i64,
    /// A position, and the transactions that may hold an earlier one.
    next: Option<Candidate>,
    /// The last position that was drawn, as of the last query.
    last: i64,
    /// The time of that query's answer.
    learned: Option<Instant>,
    looked: Option<Instant>,
}

struct Candidate {
    place: i64,
    writers: BTreeSet<String>,
}

impl StablePosition {
    /// Returns the stable position. Queries the writers unless the same server answered a moment ago.
    pub(crate) async fn upto(&self, link: &mut RelayConnection, schema: &SchemaName) -> Result<i64, Error> {
        let began = Instant::now();
        {
            let mut known = self.known();
            let is_fresh = known.looked.is_some_and(|looked| began.saturating_duration_since(looked) < FRESH);
            if is_fresh && link.server.is_some() && link.server == known.server {
                return Ok(known.upto);
            }
            // Of several concurrent readers, one queries.
            known.looked = Some(began);
        }
        let look = pending::writers(&mut link.connection, schema).await?;
        link.server.clone_from(&look.server);
        let mut known = self.known();
        known.learn(began, Instant::now(), look);
        // The query may have been late, and the state may belong to another server.
        Ok(if known.server == link.server { known.upto } else { 0 })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, began: Instant, answered: Instant, look: Look) {
        let Look { server, place, writers } = look;
        // A late query knows less than a newer one, or asked a server that is gone.
        if self.learned.is_some_and(|learned| began < learned) {
            return;
        }
        if server != self.server || place < self.last {
            // The server may assign positions again: the earlier stable position is void.
            (self.upto, self.next) = (0, None);
        }
        (self.server, self.last, self.learned) = (server, place, Some(answered));
        if self.server.is_none() {
            // A standby does not know the writers of its primary.
            return;
        }
        // A transaction gets another name when it is prepared for a two-phase commit. It cannot be matched to an earlier
        // writer.
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

    /// The state after queries, each of which took from one millisecond to another.
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

    /// A promoted standby may not have received the last positions.
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
    /// By its first query, the new server has assigned the lost positions again, and more.
    #[test]
    fn stable_position_is_reset_when_another_server_answers() {
        let mut looks = Looks::new();
        assert_eq!(looks.learn(0, 1, 1_000, &[]), 1_000);
        looks.server = Some("promoted");
        assert_eq!(looks.learn(50, 51, 1_050, &["a"]), 0, "a may hold 990, which was given again");
        assert_eq!(looks.learn(100, 101, 1_060, &["b"]), 1_050);
        assert_eq!(looks.learn(150, 151, 1_070, &[]), 1_070);

        // Both servers answer for a while: the state of one is never applied to the other.
        looks.server = Some("first");
        assert_eq!(looks.learn(200, 201, 1_100, &["c"]), 0);
        looks.server = Some("promoted");
        assert_eq!(looks.learn(250, 251, 1_100, &["d"]), 0);
    }

    /// The writers of its primary hold no lock on the standby.
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
