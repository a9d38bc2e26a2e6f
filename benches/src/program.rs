//! What every measuring program is asked, and how it ends.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

use std::process::ExitCode;

use clap::Args;

use crate::{Cell, Outcome, Report};

/// How often everything is measured, and how the report looks.
#[derive(Clone, Debug, Args)]
pub struct Rounds {
    /// Rounds; the medians are compared
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

impl Rounds {
    /// Counts the rounds, saying which one begins.
    pub fn run(&self) -> impl Iterator<Item = u32> {
        let rounds = self.rounds;
        (1..=rounds).inspect(move |round| eprintln!("round {round} of {rounds}"))
    }

    /// Prints a report in the form that was asked for.
    pub fn print<C: Cell>(&self, report: &Report<C>) {
        if self.json {
            println!("{}", report.json());
        } else {
            println!("{report}");
        }
    }
}

/// Ends a program: an error is one line.
pub fn exit_code(program: &str, outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
