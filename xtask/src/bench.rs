//! `cargo xtask bench`: builds the programs in release mode, starts the services, measures, and stops the services.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::guard;
use crate::stack::{Service, Stack};
use crate::stage::cargo;
use crate::test;

/// Options of this task. All others are passed to the benchmark program.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave the services running; without it those started here are stopped and their data deleted
    #[arg(long)]
    keep: bool,
    /// Cells by name, and options such as --rounds 5, --peers, --json FILE, --out FOLDER; --list names the cells, --help the options
    #[arg(value_name = "CELL", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// If all of these variables are set, the user's own services are measured.
const GIVEN: [&str; 4] = [
    "MESSAGEKIT_TEST_POSTGRES_URL",
    "MESSAGEKIT_TEST_KAFKA",
    "MESSAGEKIT_TEST_AMQP_URL",
    "MESSAGEKIT_TEST_CONNECT_URL",
];

/// Runs the benchmarks and returns their exit code.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    build()?;
    let mut command = command(&options.rest);
    if asks_only(&options.rest) || GIVEN.iter().all(|name| std::env::var_os(name).is_some()) {
        return test::end(&mut command);
    }
    // This task started the server with the settings for tests.
    command.arg("--durable");
    let stack = Stack::find()?;
    test::with_services(&stack, &Service::ALL, options.keep, || {
        test::start(&stack, &Service::ALL)?;
        test::end(command.envs(stack.env(&Service::ALL)?))
    })
}

/// Builds all programs, because relay and bridge are measured as users run them.
fn build() -> Result<(), String> {
    let mut build = cargo();
    build.args([
        "build",
        "--release",
        "-p",
        "messagekit-benches",
        "-p",
        "messagekit-cli",
        "-p",
        "messagekit-bridge",
    ]);
    let status = guard::status(&mut build).map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the build failed; nothing was measured".to_owned()) }
}

fn command(rest: &[String]) -> Command {
    let mut command = cargo();
    command
        .args(["run", "--quiet", "--release", "-p", "messagekit-benches", "--bin", "bench", "--"])
        .args(rest);
    command
}

/// Returns whether the options need no service.
fn asks_only(rest: &[String]) -> bool {
    rest.iter().any(|word| matches!(word.as_str(), "--list" | "--help" | "-h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_the_task_goes_to_the_measurements() {
        let rest = ["R1", "--rounds", "5"].map(str::to_owned);
        let arguments: Vec<_> =
            command(&rest).get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert!(arguments.ends_with(&[
            "--".to_owned(),
            "R1".to_owned(),
            "--rounds".to_owned(),
            "5".to_owned()
        ]));
    }

    #[test]
    fn a_list_starts_no_service() {
        assert!(asks_only(&["--list".to_owned()]) && !asks_only(&["R1".to_owned()]));
    }
}
