//! Development tasks of the workspace, run as `cargo xtask <task>` from any directory in it.
//!
//! [`check`] and the gate are fixed lists of cargo commands, which run one after another until one fails ([`stage`]). A failed
//! stage prints the command that repeats it. [`guard`] stops everything that a task has started. The [`stack`] is the services
//! that some tests need, [`test`](mod@test) runs the tests with them, and [`bench`](mod@bench) the measurements.
//! [`release`] makes the files of a version.

mod bench;
mod check;
mod guard;
mod members;
mod migrations;
mod release;
mod stack;
mod stage;
mod terminal;
mod test;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use stage::Stage;

use crate::terminal::{note, say};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Development tasks of the messagekit workspace")]
struct Cli {
    /// The task to run.
    #[command(subcommand)]
    task: Task,
}

/// The tasks of `cargo xtask`.
#[derive(Debug, Subcommand)]
enum Task {
    /// Check a change before committing it: formatting, lints, every test that needs no service
    Check(Size),
    /// Run the whole gate: what check runs, the tests that need services, the docs and the packages, and with --full the demo
    Ci(Size),
    /// Run every test, those that need services too: start the services, test, stop them
    Test(test::Options),
    /// Measure messagekit beside the raw limits and its peers: start the services, measure, stop them
    Bench(bench::Options),
    /// Make the files of a release: programs, wheels, crates, bill of materials, notes, checksums; nothing is published
    Release(release::Options),
    /// Copy migrations/ into the crates that run them, after a change there
    Migrations,
    /// Start, stop and check the services that tests need
    #[command(subcommand)]
    Stack(stack::Action),
}

/// The size of the long tests.
#[derive(Debug, Args)]
struct Size {
    /// Run the long tests at their stated size (sets MESSAGEKIT_FULL=1)
    #[arg(long)]
    full: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Check(size) => guard::run(|| prepared(|| Ok(stages(&check::check(size.full))))),
        Task::Ci(size) => {
            guard::run(|| prepared(|| Ok(stages(&check::ci(size.full, &members::unpublished()?)))))
        }
        Task::Test(options) => guard::run(|| prepared(|| test::run(&options))),
        Task::Bench(options) => guard::run(|| prepared(|| bench::run(&options))),
        Task::Release(options) => guard::run(|| prepared(|| release::run(&options))),
        Task::Migrations => migrations::copy(),
        Task::Stack(action @ stack::Action::Up { .. }) => guard::run(|| answered(stack::run(action))),
        Task::Stack(action) => answered(stack::run(action)),
    };
    done.unwrap_or_else(|error| {
        note(format_args!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// Runs a task after checking that the workspace can be built.
fn prepared(task: impl FnOnce() -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    stack::prepare_build()?;
    task()
}

/// Converts a result into an exit code.
fn answered(answer: Result<bool, String>) -> Result<ExitCode, String> {
    answer.map(|yes| if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a list of stages and prints the report.
fn stages(stages: &[Stage]) -> ExitCode {
    let report = stage::run(stages, guard::status);
    say(format_args!("\n{report}"));
    match report.failure() {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            note(format_args!("\n{failure}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Action, Service};

    fn task(line: &str) -> Task {
        Cli::try_parse_from(line.split(' ')).expect("a valid command line").task
    }

    #[test]
    fn both_tasks_take_full_and_run_the_short_tests_without_it() {
        let full = |line: &str| match task(line) {
            Task::Check(size) | Task::Ci(size) => size.full,
            _ => panic!("another task"),
        };
        assert!(!full("xtask check"));
        assert!(full("xtask check --full"));
        assert!(!full("xtask ci"));
        assert!(full("xtask ci --full"));
    }

    #[test]
    fn services_are_a_list_with_commas() {
        let Task::Stack(Action::Up { chosen }) = task("xtask stack up --services postgres,kafka") else {
            panic!("another task");
        };
        assert_eq!(chosen.services, [Service::Postgres, Service::Kafka]);
    }

    #[test]
    fn an_unknown_service_is_refused_with_the_known_ones() {
        let refusal = Cli::try_parse_from(["xtask", "stack", "kill", "mysql"]).unwrap_err().to_string();
        for name in ["mysql", "postgres", "kafka", "connect", "rabbitmq"] {
            assert!(refusal.contains(name), "{refusal}");
        }
    }
}
