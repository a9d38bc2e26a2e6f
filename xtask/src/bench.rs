//! `cargo xtask bench`: the programs built for speed, the services up, the measurements, the services down.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::guard;
use crate::stack::{Service, Stack};
use crate::stage::cargo;
use crate::test;

/// What is measured; the rest is asked of the measurements themselves.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave the services running; without it those started here are stopped and their data deleted
    #[arg(long)]
    keep: bool,
    /// Cells by name, and options such as --rounds 5, --peers, --json FILE, --out FOLDER; --list names the cells, --help the options
    #[arg(value_name = "CELL", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Whoever says where all of them are has services of their own.
const GIVEN: [&str; 4] = [
    "MESSAGEKIT_TEST_POSTGRES_URL",
    "MESSAGEKIT_TEST_KAFKA",
    "MESSAGEKIT_TEST_AMQP_URL",
    "MESSAGEKIT_TEST_CONNECT_URL",
];

/// Measures; the exit code is that of the measurements.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    build()?;
    let mut command = command(&options.rest);
    if asks_only(&options.rest) || GIVEN.iter().all(|name| std::env::var_os(name).is_some()) {
        return test::end(&mut command);
    }
    // The server is this task's, and its settings are those of tests.
    command.arg("--durable");
    let stack = Stack::find()?;
    test::with_services(&stack, &Service::ALL, options.keep, || {
        test::start(&stack, &Service::ALL)?;
        test::end(command.envs(stack.env(&Service::ALL)?))
    })
}

/// All, because relay and bridge are measured as users run them.
fn build() -> Result<(), String> {
    let mut build = Command::new(cargo());
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
    let mut command = Command::new(cargo());
    command
        .args(["run", "--quiet", "--release", "-p", "messagekit-benches", "--bin", "bench", "--"])
        .args(rest);
    command
}

/// Needs no service.
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
