//! Development tasks of the workspace, run as `cargo xtask <task>` from any directory in it.
//!
//! A task is a fixed list of cargo commands ([`check`]), run one after another until one fails
//! ([`stage`]). Nothing here does work that could not be typed by hand, and a failed stage prints
//! exactly what to type.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer tool reports on its terminal")]

mod check;
mod stage;

use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Development tasks of the messagekit workspace")]
struct Cli {
    /// The task to run.
    #[command(subcommand)]
    task: Task,
}

/// What `cargo xtask` can do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Check a change before committing it: formatting, lints, every test that needs no service
    Check(Size),
    /// Run the whole gate: what check runs, and the docs, the packages and the demo
    Ci(Size),
}

/// How long the tests may take.
#[derive(Debug, Args)]
struct Size {
    /// Run the long tests at their stated size (sets MESSAGEKIT_FULL=1 for the tests stage)
    #[arg(long)]
    full: bool,
}

fn main() -> ExitCode {
    let report = match Cli::parse().task {
        Task::Check(size) => stage::run(&check::check(size.full), Command::status),
        Task::Ci(size) => stage::run(&check::ci(size.full), Command::status),
    };
    println!("\n{report}");
    match report.failure() {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tasks_take_full_and_run_the_short_tests_without_it() {
        let full = |line: &[&str]| match Cli::try_parse_from(line).expect("a valid command line").task {
            Task::Check(size) | Task::Ci(size) => size.full,
        };
        assert!(!full(&["xtask", "check"]));
        assert!(full(&["xtask", "check", "--full"]));
        assert!(!full(&["xtask", "ci"]));
        assert!(full(&["xtask", "ci", "--full"]));
    }
}
