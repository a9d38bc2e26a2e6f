//! The roles of a schedule, and the choice of the next statement.

mod standstill;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use messagekit::{Error, ErrorKind, chain};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Database;
use messagekit_tests::schedules::Reprocess;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::claimer::Claimer;
use super::mutants::{Mutant, Rewrite, Wrong};
use super::owner::{Late, OWNS, Owner, Step};
use super::rest::come_to_rest;
use super::seen::Seen;
use super::wire::{Leave, News, Waiting, Way, Wire};
use super::world::{ROLE, World};
use super::{operator, verdict};
use crate::proxy::server_of;

/// One database for many schedules.
pub(super) struct Theatre {
    database: Database,
    direct: PgPool,
}

/// The reason why a role ended by itself.
pub(super) enum Ending {
    /// Another process has replaced it.
    Replaced,
    /// A promise was broken.
    Broken(String),
}

#[derive(Clone)]
enum Part {
    Owner { partition: usize, late: Late },
    Claimer,
    Operator,
}

/// A role with its process. A drop ends both.
struct Role {
    part: Part,
    weight: u32,
    task: JoinHandle<()>,
    pool: PgPool,
    sessions: BTreeSet<i32>,
    _wire: Wire,
}

impl Drop for Role {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Stage<'a> {
    theatre: &'a Theatre,
    world: Arc<World>,
    rewrites: &'static [Rewrite],
    struck: Arc<AtomicBool>,
    tell: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
    roles: BTreeMap<u64, Role>,
    last_role: u64,
    waiting: Vec<Waiting>,
    /// The sessions with a statement in flight, with their roles.
    in_flight: BTreeMap<i32, u64>,
    /// The sessions of ended processes that the server has not ended yet.
    ending: BTreeSet<i32>,
    broken: Option<String>,
}

impl Theatre {
    pub(super) async fn open() -> Self {
        let database = Database::fresh().await;
        let direct = format!("{}?application_name=verdict", database.url());
        let direct = PgPoolOptions::new().max_connections(4).connect(&direct).await.unwrap();
        // A second would be long: each schedule has its deadlocks. And it ends the same statement each time, the one that came last:
        // all others have looked before.
        let name = database.name();
        let quick = format!("ALTER DATABASE {name} SET deadlock_timeout = '1ms'");
        sqlx::raw_sql(AssertSqlSafe(quick)).execute(&direct).await.unwrap();
        let effects = "CREATE TABLE effects (consumer text, message text, generation int, at bigint GENERATED ALWAYS AS IDENTITY);
            CREATE INDEX ON effects (consumer, message)";
        sqlx::raw_sql(effects).execute(&direct).await.unwrap();
        Self { database, direct }
    }

    /// Runs one schedule to its end, and once more after everything was repaired. Returns the broken promise, if any, and
    /// whether a statement was rewritten.
    pub(super) async fn play(
        &self,
        seed: u64,
        mutant: Option<&'static Mutant>,
    ) -> (Result<Seen, String>, bool) {
        let world = Arc::new(World::new(seed, mutant, self.direct.clone()));
        let rewrites: &[Rewrite] = match mutant {
            Some(Mutant { wrong: Wrong::Statement(rewrites), .. }) => rewrites,
            _ => &[],
        };
        let struck = Arc::new(AtomicBool::new(false));
        let (tell, news) = mpsc::unbounded_channel();
        let stage = Stage {
            theatre: self,
            world: Arc::clone(&world),
            rewrites,
            struck: Arc::clone(&struck),
            tell,
            news,
            roles: BTreeMap::new(),
            last_role: 0,
            waiting: Vec::new(),
            in_flight: BTreeMap::new(),
            ending: BTreeSet::new(),
            broken: None,
        };
        let ended = match stage.perform().await {
            None => self.judge(&world, rewrites, &struck).await,
            Some(broken) => Err(broken),
        };
        self.clear().await;
        (ended, struck.load(Ordering::Relaxed))
    }

    async fn judge(
        &self,
        world: &World,
        rewrites: &'static [Rewrite],
        struck: &Arc<AtomicBool>,
    ) -> Result<Seen, String> {
        self.clear().await;
        let way = Way { struck: Arc::clone(struck), ..Way::without_stops(rewrites) };
        let (_wire, store) = self.process(way).await;
        for repaired in [false, true] {
            world.state().repaired = repaired;
            come_to_rest(world, &store).await?;
            if let Some(broken) = verdict::broken(world).await {
                return Err(broken);
            }
        }
        let seen = world.state().seen;
        verdict::unfinished(world).await.map_or(Ok(seen), Err)
    }

    /// Ends every session except those of the test itself.
    async fn clear(&self) {
        eventually("nobody is left", DEADLINE, async || {
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'verdict'";
            let left: i64 = sqlx::query_scalar(end).fetch_one(&self.direct).await.unwrap();
            left == 0
        })
        .await;
    }

    /// Starts a process that reaches the database through its own proxy.
    pub(super) async fn process(&self, way: Way) -> (Wire, PostgresStore) {
        let url = self.database.url();
        let wire = Wire::to(&server_of(url), way).await;
        let store = PostgresStore::options().max_connections(2).lazy(&wire.url(url)).unwrap();
        (wire, store)
    }
}

impl Stage<'_> {
    async fn perform(mut self) -> Option<String> {
        for partition in 0..self.world.log.len() {
            self.enter(Part::Owner { partition, late: Arc::new(AtomicU8::new(OWNS)) }).await;
        }
        for part in [Part::Claimer, Part::Claimer, Part::Operator, Part::Operator] {
            self.enter(part).await;
        }
        self.come_to_a_stop(None).await;
        let (steps, chaos) = {
            let mut state = self.world.state();
            let random = state.random();
            (random.usize(300..1_200), random.u8(2..12))
        };
        for _ in 0..steps {
            if self.world.chance(chaos) {
                self.chaos().await;
                self.come_to_a_stop(None).await;
            } else {
                self.step().await;
            }
            if self.broken.is_some() {
                break;
            }
        }
        self.broken.take()
    }

    /// Starts a process with its role.
    async fn enter(&mut self, part: Part) {
        self.last_role += 1;
        let role = self.last_role;
        let way = Way {
            role,
            news: Some(self.tell.clone()),
            rewrites: self.rewrites,
            struck: Arc::clone(&self.struck),
        };
        let (wire, store) = self.theatre.process(way).await;
        let turns = Turns { role, tell: self.tell.clone() };
        let pool = store.pool().clone();
        let acts = act(part.clone(), Arc::clone(&self.world), store, turns);
        let task = tokio::spawn(ROLE.scope(role, acts));
        let sessions = BTreeSet::new();
        self.roles.insert(role, Role { part, weight: 1, task, pool, sessions, _wire: wire });
    }

    /// Permits one of the waiting statements.
    async fn step(&mut self) {
        let index = self.choose();
        let Waiting { role, session, leave } = self.waiting.remove(index);
        // A statement at the server continues without its process.
        let is_overtaken = session.is_some() && self.world.chance(1);
        if leave.send(if is_overtaken { Leave::Overtaken } else { Leave::Answered }).is_err() {
            return;
        }
        if let Some(session) = session {
            self.in_flight.insert(session, role);
            self.world.state().seen.statements += 1;
            if is_overtaken {
                self.until_it_is_sent(session).await;
                self.world.state().seen.overtaken += 1;
                self.die(role).await;
            }
        }
        self.come_to_a_stop(session).await;
    }

    /// Returns the place of a waiting statement, by the weights of the roles.
    fn choose(&mut self) -> usize {
        let mut state = self.world.state();
        if state.chance(5) {
            for role in self.roles.values_mut() {
                role.weight = *state.random().choice(&[1, 5, 25, 125, 500]).unwrap_or(&1);
            }
        }
        let weights: Vec<u32> =
            self.waiting.iter().map(|one| self.roles.get(&one.role).map_or(1, |role| role.weight)).collect();
        let mut chosen = state.random().u32(0..weights.iter().sum());
        weights
            .iter()
            .position(|weight| {
                let is_it = chosen < *weight;
                chosen = chosen.saturating_sub(*weight);
                is_it
            })
            .unwrap_or(0)
    }

    /// Waits until the server has a statement that is overtaken.
    async fn until_it_is_sent(&mut self, session: i32) {
        while self.in_flight.contains_key(&session) {
            let news = timeout(DEADLINE, self.news.recv()).await.expect("the server takes a statement");
            self.hear(news.expect("the stage itself can tell"));
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Waits(waiting) if self.roles.contains_key(&waiting.role) => self.waiting.push(waiting),
            // Its process has ended meanwhile.
            News::Waits(_) => {}
            News::Opened { role, session } => {
                match self.roles.get_mut(&role) {
                    Some(role) => role.sessions.insert(session),
                    None => self.ending.insert(session),
                };
            }
            News::Answered { session } => {
                self.in_flight.remove(&session);
            }
            News::Ended { role, how } => {
                self.leave(role);
                if let Ending::Broken(how) = how {
                    self.broken.get_or_insert(how);
                }
            }
        }
    }

    fn leave(&mut self, role: u64) -> Option<Role> {
        self.waiting.retain(|one| one.role != role);
        self.in_flight.retain(|_, other| *other != role);
        let role = self.roles.remove(&role)?;
        self.ending.extend(&role.sessions);
        Some(role)
    }

    /// Crashes a process with all its state, and starts another one with its role.
    async fn die(&mut self, role: u64) {
        let Some(dead) = self.leave(role) else { return };
        let part = dead.part.clone();
        drop(dead);
        match part {
            Part::Owner { partition, late } if late.load(Ordering::Relaxed) == OWNS => {
                self.enter(Part::Owner { partition, late: Arc::new(AtomicU8::new(OWNS)) }).await;
            }
            Part::Owner { .. } => {}
            part => self.enter(part).await,
        }
    }

    async fn chaos(&mut self) {
        let world = Arc::clone(&self.world);
        let partition = world.state().random().usize(0..world.log.len());
        let what = world.state().random().u8(0..12);
        match what {
            0..3 => world.let_time_pass().await,
            3..6 => {
                {
                    let mut state = world.state();
                    if state.chance(30) {
                        let upto = state.settled[partition];
                        state.settled[partition] = state.random().usize(0..=upto);
                    }
                }
                self.replace_owner(partition).await;
            }
            6..8 => {
                let until = world.committed(partition).await;
                let is_new = {
                    let mut state = world.state();
                    let from = state.random().usize(0..=until);
                    let generation = state.ranges.len() as i32 + 1;
                    let is_new = until > from && generation <= 3;
                    if is_new {
                        state.ranges.push(Reprocess { partition, from, until, generation });
                        state.seen.ranges += 1;
                        state.settled[partition] = state.settled[partition].min(from);
                    }
                    is_new
                };
                if is_new {
                    self.replace_owner(partition).await;
                }
            }
            8..10 => {
                let roles: Vec<u64> = self.roles.keys().copied().collect();
                let role = world.state().random().choice(roles);
                world.state().seen.deaths += 1;
                self.die(role.expect("somebody plays")).await;
            }
            _ => {
                let sessions: Vec<i32> = self.waiting.iter().filter_map(|one| one.session).collect();
                let session = world.state().random().choice(sessions);
                if let Some(session) = session {
                    world.state().seen.sessions += 1;
                    let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(session);
                    end.execute(&self.theatre.direct).await.unwrap();
                    self.ending.insert(session);
                }
            }
        }
    }

    /// Starts a new owner; the old one does not know it yet.
    async fn replace_owner(&mut self, partition: usize) {
        let left = self.world.state().random().u8(0..6);
        for role in self.roles.values() {
            if let Part::Owner { partition: owned, late } = &role.part
                && *owned == partition
            {
                let _ = late.compare_exchange(OWNS, left, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        self.enter(Part::Owner { partition, late: Arc::new(AtomicU8::new(OWNS)) }).await;
    }
}

/// Requests permission to begin a step.
struct Turns {
    role: u64,
    tell: mpsc::UnboundedSender<News>,
}

impl Turns {
    async fn next(&self) {
        let (leave, left) = oneshot::channel();
        let waiting = Waiting { role: self.role, session: None, leave };
        if self.tell.send(News::Waits(waiting)).is_err() || left.await.is_err() {
            // The schedule is over.
            std::future::pending::<()>().await;
        }
    }
}

/// Runs a role until its process ends, or it notices that another process has replaced it.
async fn act(part: Part, world: Arc<World>, store: PostgresStore, turns: Turns) {
    let mut owner = match &part {
        Part::Owner { partition, late } => Some(Owner::new(&world, *partition, Arc::clone(late))),
        Part::Claimer | Part::Operator => None,
    };
    let mut claimer = Claimer::default();
    let how = loop {
        turns.next().await;
        let ended = match (&part, &mut owner) {
            (_, Some(owner)) => match owner.step(&world, &store).await {
                Ok(Step::Replaced) => break Ending::Replaced,
                step => step.map(drop),
            },
            (Part::Operator, _) => operator::step(&world, &store).await,
            _ => claimer.step(&world, &store).await.map(drop),
        };
        match ended {
            Ok(()) => {}
            Err(error) if may_happen(&error) => world.state().seen.tried_again += 1,
            Err(error) => break Ending::Broken(chain(&error)),
        }
    };
    let _ = turns.tell.send(News::Ended { role: turns.role, how });
}

/// Returns whether an error may happen: conflicts, deadlocks and lost sessions are retried.
fn may_happen(error: &Error) -> bool {
    error.is_transient() || error.kind() == ErrorKind::Aborted
}
