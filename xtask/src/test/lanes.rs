//! Runs the suites in lanes, side by side.
//!
//! Suites that need a broker run one after another, because some of them stop it. Suites that need only the database run beside them.
//! The tests of the whole path take every service down: they run beside the others if they have their own services, and otherwise
//! after them. Suites without a service, and the examples in the documentation, fill the processors that the lanes leave: a lane
//! that is done works them off.

use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::report::Run;
use super::suites::Suite;
use crate::guard::{self, Ended};
use crate::stack::Service;
use crate::terminal::say;

/// The resource that suites share: suites of one lane run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Alone,
    Database,
    Brokers,
    Path,
}

/// How many processors the suites are for.
const PROCESSORS: usize = 2;

/// The suites that take longest, of each lane in this order. They are its first, so that none is left alone at the end.
const LONGEST: [&str; 6] = ["path", "postgres", "documentation", "wheel", "behaviour", "it"];

/// The variables of a suite.
type Env<'a> = &'a [(&'static str, String)];

/// The variables of the suites, by which they find their services.
#[derive(Debug)]
pub(crate) struct Variables<'a> {
    pub(crate) shared: Env<'a>,
    /// Those of the tests of the whole path, if they have their own services.
    pub(crate) path: Option<Env<'a>>,
}

impl Lane {
    /// Returns the lane of tests that need these services.
    fn of(needs: &[Service]) -> Self {
        match needs {
            [] => Self::Alone,
            [Service::Postgres] => Self::Database,
            needs if needs.contains(&Service::Connect) => Self::Path,
            _ => Self::Brokers,
        }
    }
}

/// What waits for a worker, in order.
struct Queue<T>(Mutex<std::vec::IntoIter<T>>);

impl<T> Queue<T> {
    fn of(all: Vec<T>) -> Self {
        Self(Mutex::new(all.into_iter()))
    }

    fn is_empty(&self) -> bool {
        self.0.lock().expect("taking one does not panic").as_slice().is_empty()
    }

    fn next(&self) -> Option<T> {
        self.0.lock().expect("taking one does not panic").next()
    }
}

impl<'a> Queue<(&'a Suite, Env<'a>)> {
    fn of_lane(suites: &'a [Suite], lane: Lane, env: Env<'a>) -> Self {
        let of_lane = suites.iter().filter(|suite| Lane::of(&suite.tests.needs) == lane);
        let mut of_lane: Vec<_> = of_lane.map(|suite| (suite, env)).collect();
        let place = |name: &str| LONGEST.iter().position(|longest| *longest == name).unwrap_or(LONGEST.len());
        of_lane.sort_by_key(|(suite, _)| place(&suite.tests.target.name));
        Self::of(of_lane)
    }
}

/// Runs the suites. A failure does not stop the others, and neither does a suite that hangs: it is killed after the limit.
pub(crate) fn run(suites: &[Suite], variables: &Variables<'_>, limit: Duration, logs: &Path) -> Vec<Run> {
    let queue = |lane, env| Queue::of_lane(suites, lane, env);
    let run = |(suite, env): (&Suite, Env<'_>)| run_suite(suite, env, limit, logs);
    let (shared, path) = (variables.shared, variables.path);
    let beside = [Lane::Brokers, Lane::Database].map(|lane| queue(lane, shared));
    let beside = beside.into_iter().chain(path.map(|path| queue(Lane::Path, path)));
    let beside: Vec<_> = beside.filter(|lane| !lane.is_empty()).collect();
    let mut runs = side_by_side(&beside, &queue(Lane::Alone, shared), run);
    if path.is_none() {
        let path = queue(Lane::Path, shared);
        runs.extend(std::iter::from_fn(|| path.next()).map(run));
    }
    runs
}

/// Works each lane off in its order, all lanes side by side, and what needs no lane when they leave a processor: a worker whose lane
/// is done goes on with it. More at once would only make each of them slower, and what waits for a service in them late.
fn side_by_side<T: Send, R: Send>(
    lanes: &[Queue<T>],
    alone: &Queue<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let helpers = PROCESSORS.saturating_sub(lanes.len());
    let work_off = |lane: Option<&Queue<T>>| {
        let next = || lane.and_then(Queue::next).or_else(|| alone.next());
        std::iter::from_fn(next).map(&work).collect::<Vec<R>>()
    };
    thread::scope(|scope| {
        let work_off = &work_off;
        let lanes = lanes.iter().map(Some).chain(std::iter::repeat_n(None, helpers));
        let workers: Vec<_> = lanes.map(|lane| scope.spawn(move || work_off(lane))).collect();
        let done =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect()
    })
}

fn run_suite(suite: &Suite, env: Env<'_>, limit: Duration, logs: &Path) -> Run {
    let target = &suite.tests.target;
    let log = logs.join(format!("test-{}-{}-{}.log", target.package, target.kind, target.name));
    let started = Instant::now();
    let (computed, failure) = match execute(suite, env, limit, &log) {
        Ok(ended) => (ended.computed, failure(&ended, limit)),
        Err(error) => (Duration::ZERO, Some(error)),
    };
    let output = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let run = Run { target: target.clone(), took: started.elapsed(), computed, failure, log, output };
    say(format_args!("{run}"));
    run
}

fn execute(suite: &Suite, env: Env<'_>, limit: Duration, log: &Path) -> Result<Ended, String> {
    let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (output, errors) = files.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let ended = guard::status_within(limit, command(suite, env).stdout(output).stderr(errors));
    ended.map_err(|error| format!("cannot run {}: {error}", suite.program.display()))
}

fn command(suite: &Suite, env: Env<'_>) -> Command {
    let mut command = Command::new(&suite.program);
    command.args(&suite.arguments).current_dir(&suite.folder);
    command.envs(env.iter().map(|(name, value)| (*name, value)));
    if let Some(threads) = suite.tests.threads {
        command.env("RUST_TEST_THREADS", threads.to_string());
    }
    for (name, value) in &suite.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn failure(ended: &Ended, limit: Duration) -> Option<String> {
    match ended.status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("failed ({status})")),
        None => Some(format!("it did not end within {} minutes and was killed", limit.as_secs() / 60)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::members;
    use crate::test::suites::expected;

    /// They take brokers down, or need them up: they never run at the same time.
    #[test]
    fn suites_that_stop_each_others_services_are_in_one_lane() {
        let metadata = members::metadata().expect("cargo metadata works");
        let all = expected(&metadata, &Service::ALL);
        let names = |lane: Lane| {
            let tests = all.iter().filter(|tests| Lane::of(&tests.needs) == lane);
            tests.map(|tests| &*tests.target.name).collect::<Vec<_>>()
        };
        let brokers = names(Lane::Brokers);
        for name in [
            "bookkeeper",
            "kafka",
            "rabbitmq",
            "rabbitmq_blocked",
            "relay",
            "membership",
            "bridge",
            "broker_cells",
        ] {
            assert!(brokers.contains(&name), "{name} would run beside the others: {brokers:?}");
        }
        for (lane, wanted) in [
            (Lane::Database, &["admin", "database_cells", "postgres"][..]),
            (Lane::Path, &["doctor", "path"][..]),
        ] {
            let mut found = names(lane);
            found.sort_unstable();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn the_cargo_of_the_documentation_knows_nothing_of_this_package() {
        let suite = Suite::documentation(&crate::stage::cargo());
        let command = command(&suite, &[]);
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(std::env::var_os(name).is_some(), "cargo sets {name} for a test");
            assert!(command.get_envs().any(|set| set == (OsStr::new(name), None)), "{name} is passed on");
        }
    }

    #[test]
    fn a_lane_runs_one_at_a_time_and_then_helps_with_the_rest() {
        let (in_lane, most_in_lane, now, most) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let lanes = [Queue::of((0..10).collect()), Queue::of(Vec::new())];
        let began = Instant::now();
        let mut done = side_by_side(&lanes, &Queue::of((10..1_000).collect()), |one: usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if one < 10 {
                most_in_lane.fetch_max(in_lane.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
            thread::sleep(Duration::from_micros(100));
            // The second thread may get its processor late.
            while one >= 10 && most.load(Ordering::SeqCst) < 2 && began.elapsed() < Duration::from_secs(60) {
                thread::yield_now();
            }
            if one < 10 {
                in_lane.fetch_sub(1, Ordering::SeqCst);
            }
            now.fetch_sub(1, Ordering::SeqCst);
            one
        });
        done.sort_unstable();
        assert_eq!(done, (0..1_000).collect::<Vec<_>>(), "each once");
        assert_eq!(most_in_lane.into_inner(), 1);
        assert_eq!(most.into_inner(), 2, "the lane that is done has helped");
    }
}
