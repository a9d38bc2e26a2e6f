//! Runs the suites in lanes, side by side.
//!
//! Suites that need a broker run one after another, because some of them stop it. Suites that need only the database or no
//! service run beside them, like the examples in the documentation. The tests of the whole path take every service down: they
//! run beside the others if they have their own services, and otherwise after them.

use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::report::Run;
use super::suites::Suite;
use crate::guard;
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

/// The variables of the suites, by which they find their services.
#[derive(Debug)]
pub(crate) struct Variables<'a> {
    pub(crate) shared: &'a [(&'static str, String)],
    /// Those of the tests of the whole path, if they have their own services.
    pub(crate) path: Option<&'a [(&'static str, String)]>,
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

/// Runs the suites. A failure does not stop the others, and neither does a suite that hangs: it is killed after the limit.
pub(crate) fn run(suites: &[Suite], variables: &Variables<'_>, limit: Duration, logs: &Path) -> Vec<Run> {
    let without_services = suites.iter().all(|suite| Lane::of(&suite.tests.needs) == Lane::Alone);
    let run = |lane: Lane, env: &[(&str, String)]| -> Vec<Run> {
        // Without other lanes both cores are free.
        let at_once = if without_services { 2 } else { 1 };
        let of_lane: Vec<&Suite> =
            suites.iter().filter(|suite| Lane::of(&suite.tests.needs) == lane).collect();
        each_of(&of_lane, at_once, |suite| run_suite(suite, env, limit, logs))
    };
    let run = &run;
    let beside = [Lane::Brokers, Lane::Database, Lane::Alone].map(|lane| (lane, variables.shared));
    let beside = beside.into_iter().chain(variables.path.map(|path| (Lane::Path, path)));
    let mut runs: Vec<Run> = thread::scope(|scope| {
        let lanes: Vec<_> = beside.map(|(lane, env)| scope.spawn(move || run(lane, env))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    if variables.path.is_none() {
        runs.extend(run(Lane::Path, variables.shared));
    }
    runs
}

/// Does the work for each, in order, with at most `at_once` at the same time.
fn each_of<T: Sync, R: Send>(all: &[T], at_once: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(all.iter());
    let one_after_another = || {
        let mut done = Vec::new();
        loop {
            let one = next.lock().expect("taking one does not panic").next();
            let Some(one) = one else { return done };
            done.push(work(one));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(one_after_another)).collect();
        let done =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect()
    })
}

fn run_suite(suite: &Suite, env: &[(&str, String)], limit: Duration, logs: &Path) -> Run {
    let target = &suite.tests.target;
    let log = logs.join(format!("test-{}-{}-{}.log", target.package, target.kind, target.name));
    let started = Instant::now();
    let failure = execute(suite, env, limit, &log).err();
    let output = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let run = Run { target: target.clone(), took: started.elapsed(), failure, log, output };
    say(format_args!("{run}"));
    run
}

fn execute(suite: &Suite, env: &[(&str, String)], limit: Duration, log: &Path) -> Result<(), String> {
    let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (output, errors) = files.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let mut command = Command::new(&suite.program);
    command.args(&suite.arguments).current_dir(&suite.folder).stdout(output).stderr(errors);
    command.envs(env.iter().map(|(name, value)| (*name, value)));
    if let Some(threads) = suite.tests.threads {
        command.env("RUST_TEST_THREADS", threads.to_string());
    }
    // Cargo sets these variables for a test program. The path of shared libraries is the same.
    command.env("CARGO_MANIFEST_DIR", &suite.folder).env("CARGO_PKG_NAME", &suite.tests.target.package);
    command.env("CARGO_MANIFEST_PATH", suite.folder.join("Cargo.toml"));
    let status = guard::status_within(limit, &mut command);
    match status.map_err(|error| format!("cannot run {}: {error}", suite.program.display()))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("failed ({status})")),
        None => Err(format!("it did not end within {} minutes and was killed", limit.as_secs() / 60)),
    }
}

#[cfg(test)]
mod tests {
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
        for name in ["bookkeeper", "kafka", "rabbitmq", "rabbitmq_blocked", "relay", "membership", "bridge"] {
            assert!(brokers.contains(&name), "{name} would run beside the others: {brokers:?}");
        }
        for (lane, wanted) in [(Lane::Database, ["admin", "postgres"]), (Lane::Path, ["doctor", "path"])] {
            let mut found = names(lane);
            found.sort_unstable();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn each_is_done_once_with_no_more_than_asked_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: Vec<usize> = (0..100).collect();
        let mut done = each_of(&all, 2, |one| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            *one
        });
        done.sort_unstable();
        assert_eq!(done, all);
        assert!(most.into_inner() <= 2);
    }
}
