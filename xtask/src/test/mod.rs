//! `cargo xtask test`: starts the services during the build, runs every test with its services, and stops the services.

mod changed;
mod lanes;
mod report;
mod suites;

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::stack::{self, Health, Service, Stack};
use crate::stage::cargo;
use crate::terminal::say;
use crate::{guard, members};

use changed::Reach;
use lanes::Variables;
use report::Table;
use suites::{Suite, Target, Tests};

/// The packages with tests that need services: each has a feature for each of them.
const SERVED: [&str; 2] = ["messagekit-benches", "messagekit-tests"];

/// The services of the tests, and their state after the run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The services whose tests are run; connect needs all the others
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "postgres,kafka,connect,rabbitmq",
        value_name = "SERVICES"
    )]
    services: Vec<Service>,
    /// Run only the tests that need no service
    #[arg(long, conflicts_with = "services")]
    no_services: bool,
    /// Run only these suites, by the names in the table (`--suite path`), with the services that they need
    #[arg(long = "suite", value_name = "NAME", conflicts_with = "changed")]
    suites: Vec<String>,
    /// Run only the suites that can be broken by what differs from a commit, the last one if none is named
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD")]
    changed: Option<String>,
    /// Run the long tests at their stated size (sets MESSAGEKIT_FULL=1)
    #[arg(long)]
    full: bool,
    /// Leave the services running, except those of the whole path's tests; without it all that were started here are stopped and
    /// their data deleted
    #[arg(long)]
    keep: bool,
}

/// The stacks of the tests.
struct Stacks {
    shared: Stack,
    services: Vec<Service>,
    /// The tests of the whole path take services down: they run beside the others with their own services.
    path: Option<Stack>,
}

/// What is built and run.
struct Plan {
    metadata: Value,
    tests: Vec<Tests>,
    documentation: bool,
    /// The services of these tests.
    services: Vec<Service>,
    full: bool,
}

/// Builds while the services start, runs the tests, and prints the times.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let plan = Plan::of(options)?;
    if plan.tests.is_empty() && !plan.documentation {
        say(format_args!("no test can be broken by what changed"));
        return Ok(ExitCode::SUCCESS);
    }
    let stacks = Stacks::find(&plan.services)?;
    with_services(&stacks.shared, &stacks.services, options.keep, || match &stacks.path {
        Some(path) => alone_on(path, || stacks.test(&plan)),
        None => stacks.test(&plan),
    })
}

impl Plan {
    fn of(options: &Options) -> Result<Self, String> {
        let metadata = members::metadata()?;
        let named = if options.no_services { Vec::new() } else { needed(&options.services) };
        let all = suites::expected(&metadata, &named);
        let reach = match &options.changed {
            Some(since) => Some(Reach::of(&changed::files(since)?, &metadata)),
            None => None,
        };
        let is_named = |target: &Target| {
            let is_it = |suite: &String| *suite == target.name || *suite == target.to_string();
            options.suites.is_empty() || options.suites.iter().any(is_it)
        };
        let is_chosen = |tests: &Tests| match &reach {
            Some(reach) => reach.includes(tests),
            None => is_named(&tests.target),
        };
        let documentation = match &reach {
            Some(reach) => reach.includes_documentation(),
            None => is_named(&Target::documentation()),
        };
        let (tests, left_out): (Vec<_>, Vec<_>) = all.into_iter().partition(is_chosen);
        if options.suites.is_empty() {
            say_left_out(&left_out, documentation);
        } else if tests.is_empty() && !documentation {
            let names: Vec<String> = left_out.iter().map(|tests| tests.target.to_string()).collect();
            return Err(format!(
                "no suite is named {}: there are {}",
                options.suites.join(", "),
                names.join("; ")
            ));
        }
        let services = match reach.is_none() && options.suites.is_empty() {
            true => named,
            // No service is started in vain.
            false => {
                let needs: Vec<Service> = tests.iter().flat_map(|tests| tests.needs.clone()).collect();
                if needs.is_empty() { Vec::new() } else { needed(&needs) }
            }
        };
        Ok(Self { metadata, tests, documentation, services, full: options.full })
    }
}

/// Names what is not run: a green run of a part must not look like one of all.
fn say_left_out(left_out: &[Tests], documentation: bool) {
    let names = left_out.iter().map(|tests| tests.target.to_string());
    let names: Vec<String> =
        names.chain((!documentation).then(|| Target::documentation().to_string())).collect();
    if !names.is_empty() {
        say(format_args!("left out: {}", names.join("; ")));
    }
}

impl Stacks {
    fn find(all: &[Service]) -> Result<Self, String> {
        let shared = Stack::find()?;
        let path = shared.beside("path").filter(|_| all.contains(&Service::Connect));
        let is_shared = |service: &Service| path.is_none() || *service != Service::Connect;
        Ok(Self { services: all.iter().copied().filter(is_shared).collect(), shared, path })
    }

    fn test(&self, plan: &Plan) -> Result<ExitCode, String> {
        let (began, logs) = (Instant::now(), self.shared.logs());
        let (started, built) = thread::scope(|scope| {
            let started = scope.spawn(|| self.start(&plan.services));
            let built = build(plan, &logs);
            (started.join().unwrap_or_else(|panic| resume_unwind(panic)), built)
        });
        started?;
        let (suites, build) = (built?, began.elapsed());
        let shared = env(&self.shared, &self.services, plan.full)?;
        let path = self.path.as_ref().map(|path| env(path, &plan.services, plan.full)).transpose()?;
        let variables = Variables { shared: &shared, path: path.as_deref() };
        let runs = lanes::run(&suites, &variables, limit(plan.full), &logs);
        let table = Table { build, runs: &runs, total: began.elapsed() };
        say(format_args!("\n{table}"));
        Ok(if table.is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Start one after another: both may have to install the same packages.
    fn start(&self, all: &[Service]) -> Result<(), String> {
        start(&self.shared, &self.services)?;
        self.path.as_ref().map_or(Ok(()), |path| start(path, all))
    }
}

/// Returns the time of one suite: several times what the longest takes on a slow machine.
fn limit(full: bool) -> Duration {
    Duration::from_secs(60 * if full { 300 } else { 60 })
}

/// Returns the variables of tests that use these services.
fn env(stack: &Stack, services: &[Service], full: bool) -> Result<Vec<(&'static str, String)>, String> {
    let mut env = if services.is_empty() { Vec::new() } else { stack.env(services)? };
    if full {
        env.push(("MESSAGEKIT_FULL", "1".to_owned()));
    }
    Ok(env)
}

/// Runs work with services, and stops those that it has started.
pub(crate) fn with_services(
    stack: &Stack,
    services: &[Service],
    keep: bool,
    work: impl FnOnce() -> Result<ExitCode, String>,
) -> Result<ExitCode, String> {
    let ours = if services.is_empty() { Vec::new() } else { stack.missing(services)? };
    // Services that ran before keep running with their data: another process needs them. To remove what a thousand databases have left takes
    // minutes, and in CI it goes with the machine.
    let stop = || if keep || ours.is_empty() { Ok(()) } else { stack.down(&ours, !stack::in_ci()) };
    stopped_after(work, stop)
}

/// Runs work on a stack that nothing else uses. It first removes the data of a run that crashed.
fn alone_on(stack: &Stack, work: impl FnOnce() -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    let stop = || stack.down(&Service::ALL, true);
    stop()?;
    stopped_after(work, stop)
}

/// Runs work, and stops the services that were started for it, also after a failure or a panic.
fn stopped_after<T>(
    work: impl FnOnce() -> Result<T, String>,
    stop: impl FnOnce() -> Result<(), String>,
) -> Result<T, String> {
    let ended = catch_unwind(AssertUnwindSafe(work));
    let stopped = stop();
    let done = ended.unwrap_or_else(|panic| resume_unwind(panic))?;
    stopped.map(|()| done)
}

/// Returns the services of the named tests: those of connect follow a record from the database to the last consumer.
fn needed(named: &[Service]) -> Vec<Service> {
    let mut all = named.to_vec();
    if named.contains(&Service::Connect) {
        all.extend([Service::Postgres, Service::Rabbitmq]);
    }
    Service::chosen(&all, &Service::DEFAULT)
}

/// Starts the services and checks again that each answers: a test must not be the first to notice.
pub(crate) fn start(stack: &Stack, services: &[Service]) -> Result<(), String> {
    if services.is_empty() {
        return Ok(());
    }
    stack.up(services)?;
    let states = stack.status(services)?;
    let missing: Vec<&str> = states
        .iter()
        .filter(|state| state.health != Health::Ready)
        .map(|state| state.service.name())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{} should be running and does not answer; nothing was run", missing.join(", ")))
}

/// Builds every test of the workspace, those that need one of the services included, and the programs that they start.
fn build(plan: &Plan, logs: &Path) -> Result<Vec<Suite>, String> {
    let mut command = cargo_test(&plan.services, &["--no-run", "--message-format=json-render-diagnostics"]);
    fs::create_dir_all(logs).map_err(|error| format!("cannot create {}: {error}", logs.display()))?;
    let log = logs.join("build.json");
    let file = File::create(&log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let status = guard::status(command.stdout(file));
    let status = status.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the build failed ({status}); nothing was run"));
    }
    let messages =
        fs::read_to_string(&log).map_err(|error| format!("cannot read {}: {error}", log.display()))?;
    let mut suites = suites::built(&plan.metadata, &messages, plan.tests.clone())?;
    if plan.documentation {
        // It takes longest of those without a service.
        suites.insert(0, Suite::documentation(&cargo_test(&plan.services, &["--doc"])));
    }
    Ok(suites)
}

/// Returns `cargo test` for the workspace, with the tests that need one of the services.
fn cargo_test(services: &[Service], arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace"]);
    if !services.is_empty() {
        let of = |service| SERVED.map(|package| format!("{package}/{service}"));
        let features: Vec<String> = services.iter().flat_map(of).collect();
        command.args(["--features", &features.join(",")]);
    }
    command.args(arguments);
    command
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Result<ExitCode, String> {
    let status = guard::status(command);
    let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_adds_the_tests_that_need_it() {
        let command = cargo_test(&[Service::Postgres, Service::Kafka], &["--doc"]);
        let arguments: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let features = "messagekit-benches/postgres,messagekit-tests/postgres,messagekit-benches/kafka,messagekit-tests/kafka";
        assert_eq!(arguments, ["test", "--workspace", "--features", features, "--doc"]);
    }

    #[test]
    fn started_services_stop_after_a_failure_and_after_a_panic() {
        let stopped = std::cell::Cell::new(0);
        let stop = || {
            stopped.set(stopped.get() + 1);
            Ok(())
        };
        assert_eq!(stopped_after(|| Ok(7), stop), Ok(7));
        assert_eq!(stopped_after(|| Err::<(), _>("no".to_owned()), stop), Err("no".to_owned()));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            stopped_after(|| -> Result<(), String> { panic!("a bug") }, stop)
        }));
        assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "a bug");
        assert_eq!(stopped.get(), 3);
    }

    #[test]
    fn the_tests_of_connect_need_a_database_and_both_brokers() {
        assert_eq!(needed(&[Service::Connect]), Service::ALL);
        assert_eq!(needed(&[Service::Kafka]), [Service::Kafka]);
    }
}
