//! When nothing of a schedule goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messagekit_testkit::DEADLINE;
use tokio::time::{Instant, timeout};

use super::Stage;

/// The usual time of a statement without a lock wait; after it the server is asked whether it waits for a lock.
const PROMPT: Duration = Duration::from_millis(2);

impl Stage<'_> {
    /// Waits until nothing goes on by itself: each role waits for permission, or its statement for a lock. What is permitted next
    /// then depends on the seed alone. The session was permitted a statement, which mostly is answered at once.
    pub(super) async fn come_to_a_stop(&mut self, permitted: Option<i32>) {
        let begun = Instant::now();
        loop {
            let is_quiet = match timeout(PROMPT, self.news.recv()).await {
                Ok(news) => {
                    self.hear(news.expect("the stage itself can tell"));
                    while let Ok(news) = self.news.try_recv() {
                        self.hear(news);
                    }
                    permitted.is_none_or(|session| !self.in_flight.contains_key(&session))
                }
                Err(_) => true,
            };
            if is_quiet && self.every_role_waits() && self.every_session_waits().await {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "a role neither works nor waits: {}", self.stands().await);
        }
        let waits = permitted.is_some_and(|session| self.in_flight.contains_key(&session));
        self.world.state().seen.waits += u64::from(waits);
        self.waiting.sort_by_key(|one| (one.role, one.session));
    }

    /// Describes who waits for what.
    async fn stands(&self) -> String {
        let waiting: Vec<_> = self.waiting.iter().map(|one| (one.role, one.session)).collect();
        let lent: Vec<_> = self
            .roles
            .iter()
            .map(|(role, process)| (role, process.pool.size(), process.pool.num_idle()))
            .collect();
        let sessions = "SELECT string_agg(concat_ws(' ', pid, state, wait_event, pg_blocking_pids(pid), left(query, 60)), '; ')
            FROM pg_stat_activity WHERE datname = current_database()";
        let sessions: Option<String> =
            sqlx::query_scalar(sessions).fetch_one(&self.theatre.direct).await.unwrap();
        let (in_flight, ending) = (&self.in_flight, &self.ending);
        format!(
            "waiting {waiting:?}, in flight {in_flight:?}, ending {ending:?}, lent {lent:?}, {sessions:?}"
        )
    }

    /// Returns whether each role has something that waits or is at the server, and so has each connection that its pool has lent:
    /// a connection that comes back to it sends a last statement beside its role. One that was not permitted for seconds is given up.
    fn every_role_waits(&self) -> bool {
        self.roles.iter().all(|(role, process)| {
            let of_role = self.waiting.iter().filter(|one| one.role == *role);
            let (sessions, turns): (Vec<_>, Vec<_>) = of_role.partition(|one| one.session.is_some());
            let at_the_server = self.in_flight.values().filter(|other| *other == role).count();
            let lent = (process.pool.size() as usize).saturating_sub(process.pool.num_idle());
            sessions.len() + at_the_server + turns.len() > 0 && sessions.len() + at_the_server >= lent
        })
    }

    /// Returns whether every statement at the server waits for a lock that no such statement holds in a circle, and every session
    /// that ends does so too or is gone.
    async fn every_session_waits(&mut self) -> bool {
        let of_interest: Vec<i32> = self.in_flight.keys().chain(&self.ending).copied().collect();
        if of_interest.is_empty() {
            return true;
        }
        let waits = "SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE pid = ANY($1)";
        let found: Vec<(i32, Vec<i32>)> =
            sqlx::query_as(waits).bind(&of_interest).fetch_all(&self.theatre.direct).await.unwrap();
        let blockers: BTreeMap<i32, Vec<i32>> = found.into_iter().collect();
        self.ending.retain(|session| blockers.contains_key(session));
        self.in_flight.keys().all(|session| blockers.contains_key(session))
            && blockers.iter().all(|(session, by)| !by.is_empty() && !is_in_a_circle(*session, &blockers))
    }
}

/// Returns whether a session waits for itself.
fn is_in_a_circle(session: i32, blockers: &BTreeMap<i32, Vec<i32>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![session]);
    while let Some(one) = next.pop() {
        for by in blockers.get(&one).into_iter().flatten() {
            if *by == session {
                return true;
            }
            if seen.insert(*by) {
                next.push(*by);
            }
        }
    }
    false
}
