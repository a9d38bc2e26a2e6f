//! `cargo xtask test`: the services up, every test with its services required, the services down.

use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::stack::{Health, Service, Stack};
use crate::stage::cargo;

/// What the tests may need, and what happens to it afterwards.
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
    /// Run the long tests at their stated size (sets MESSAGEKIT_FULL=1)
    #[arg(long)]
    full: bool,
    /// Install missing system packages (only as root; in CI this is allowed without the flag)
    #[arg(long)]
    install: bool,
    /// Leave the services running; without it those started here are stopped and their data deleted
    #[arg(long)]
    keep: bool,
}

/// Runs the tests; the exit code is theirs.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let services = needed(&options.services);
    with_services(&services, options.install, options.keep, command(&services, options.full))
}

/// Runs a command with the services up; the exit code is the command's.
pub(crate) fn with_services(
    services: &[Service],
    install: bool,
    keep: bool,
    mut command: Command,
) -> Result<ExitCode, String> {
    let stack = Stack::find()?;
    let before = stack.status(services)?;
    let ours: Vec<Service> =
        before.iter().filter(|state| state.health == Health::Down).map(|state| state.service).collect();
    let ended = start(&stack, services, install).and_then(|()| end(command.envs(stack.env(services)?)));
    if !keep && !ours.is_empty() {
        // Also after a failure. What ran before goes on with its data: somebody else needs it.
        let down = stack.down(&ours, true);
        return ended.and_then(|code| down.map(|()| code));
    }
    ended
}

/// The services of the tests named: those of connect follow a record from the database to the last consumer.
fn needed(named: &[Service]) -> Vec<Service> {
    let mut all = named.to_vec();
    if named.contains(&Service::Connect) {
        all.extend([Service::Postgres, Service::Rabbitmq]);
    }
    Service::chosen(&all, &Service::DEFAULT)
}

/// Starts the services and looks again whether each answers: a test must not be the first to find out.
fn start(stack: &Stack, services: &[Service], install: bool) -> Result<(), String> {
    stack.up(services, install)?;
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

/// Every test of the workspace, with those that need one of the services.
fn command(services: &[Service], full: bool) -> Command {
    let features: Vec<String> =
        services.iter().map(|service| format!("messagekit-tests/{service}")).collect();
    let mut command = Command::new(cargo());
    command.args(["test", "--workspace", "--features", &features.join(",")]);
    if full {
        command.env("MESSAGEKIT_FULL", "1");
    }
    command
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Result<ExitCode, String> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(services: &[Service], full: bool) -> Vec<String> {
        command(services, full).get_args().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn each_service_adds_the_tests_that_need_it() {
        let all = arguments(&[Service::Postgres, Service::Kafka], false);
        assert_eq!(
            all,
            ["test", "--workspace", "--features", "messagekit-tests/postgres,messagekit-tests/kafka"]
        );
    }

    #[test]
    fn full_is_told_to_the_tests_and_changes_nothing_else() {
        assert_eq!(arguments(&Service::DEFAULT, true), arguments(&Service::DEFAULT, false));
        let full = command(&Service::DEFAULT, true);
        let set: Vec<_> = full.get_envs().collect();
        assert_eq!(set, [("MESSAGEKIT_FULL".as_ref(), Some("1".as_ref()))]);
        assert_eq!(command(&Service::DEFAULT, false).get_envs().count(), 0);
    }

    #[test]
    fn the_tests_of_connect_need_a_database_and_both_brokers() {
        assert_eq!(needed(&[Service::Connect]), Service::ALL);
        assert_eq!(needed(&[Service::Kafka]), [Service::Kafka]);
    }
}
