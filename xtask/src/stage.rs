//! A stage is one cargo command with a name. This module runs a list of stages and reports the result.

use std::fmt;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::terminal::say;

/// One cargo command of a task.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// The name of the stage in headings and in the table.
    pub(crate) name: &'static str,
    /// Variables set for the command, in addition to the inherited ones.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// The arguments of `cargo`.
    pub(crate) args: Vec<String>,
}

/// Returns a command of the cargo that started this program.
///
/// It does not inherit the variables that cargo sets for a program that it runs: build scripts look at some of them, and would
/// run again after each change between `cargo xtask` and `cargo` itself.
pub(crate) fn cargo() -> Command {
    unrelated(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())))
}

/// Returns a command that runs cargo, without the variables of this program.
pub(crate) fn unrelated(mut command: Command) -> Command {
    let of_this_program = |name: &str| {
        name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_this_program) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command that ends by itself, and returns what it prints.
///
/// # Errors
/// Returns an error with its messages if it fails.
pub(crate) fn printed(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {} failed: {}", arguments.join(" "), said.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed what is no text"))
}

impl Stage {
    /// Returns a stage without variables.
    pub(crate) fn new(name: &'static str, args: &[&str]) -> Self {
        Self { name, env: &[], args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    /// Returns the command, ready to start.
    fn command(&self) -> Command {
        let mut command = cargo();
        command.args(&self.args).envs(self.env.iter().copied());
        command
    }
}

/// Writes the command as a user would type it in a shell.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.env {
            let quote = if value.contains(' ') { "\"" } else { "" };
            write!(f, "{name}={quote}{value}{quote} ")?;
        }
        write!(f, "cargo {}", self.args.join(" "))
    }
}

/// The outcome of one stage.
#[derive(Debug)]
enum Outcome {
    /// The command succeeded.
    Passed(Duration),
    /// The command failed or did not start; the text holds the reason.
    Failed(Duration, String),
    /// An earlier stage failed.
    NotRun,
}

/// The result of a whole run. [`Display`](fmt::Display) writes the table of stages and seconds.
#[derive(Debug)]
pub(crate) struct Report {
    /// Every stage of the task, in its order.
    stages: Vec<(Stage, Outcome)>,
}

/// Runs `stages` in order and stops at the first that fails.
///
/// `execute` starts a prepared command and waits for its end. It is [`guard::status`](crate::guard::status), unless a test hides
/// the output.
pub(crate) fn run(
    stages: &[Stage],
    mut execute: impl FnMut(&mut Command) -> io::Result<ExitStatus>,
) -> Report {
    let mut report = Report { stages: Vec::with_capacity(stages.len()) };
    for stage in stages {
        let outcome = if report.failure().is_some() {
            Outcome::NotRun
        } else {
            say(format_args!("\n== {}: {stage}", stage.name));
            let started = Instant::now();
            let result = execute(&mut stage.command());
            let took = started.elapsed();
            match result {
                Ok(status) if status.success() => Outcome::Passed(took),
                Ok(status) => Outcome::Failed(took, status.to_string()),
                Err(error) => Outcome::Failed(took, format!("cannot start cargo: {error}")),
            }
        };
        report.stages.push((stage.clone(), outcome));
    }
    report
}

impl Report {
    /// Returns the failed stage, its reason, and the command to run after a fix. Returns `None` when every stage passed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.stages.iter().find_map(|(stage, outcome)| match outcome {
            Outcome::Failed(_, why) => {
                Some(format!("stage {} failed ({why}); run it again with:\n    {stage}", stage.name))
            }
            Outcome::Passed(_) | Outcome::NotRun => None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:<10}{:>8}", "stage", "result", "seconds")?;
        let mut total = Duration::ZERO;
        for (stage, outcome) in &self.stages {
            let (result, took) = match outcome {
                Outcome::Passed(took) => ("ok", Some(*took)),
                Outcome::Failed(took, _) => ("failed", Some(*took)),
                Outcome::NotRun => ("not run", None),
            };
            let seconds = took.map_or("-".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
            writeln!(f, "{:<18}{result:<10}{seconds:>8}", stage.name)?;
            total += took.unwrap_or_default();
        }
        write!(f, "{:<28}{:>8.1}", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works() -> Stage {
        Stage::new("works", &["--version"])
    }

    fn breaks() -> Stage {
        Stage { env: &[("REASON", "no such task")], ..Stage::new("breaks", &["no-such-task", "--now"]) }
    }

    fn later() -> Stage {
        Stage::new("later", &["--version"])
    }

    /// Runs the command and hides its output from the output of the test.
    fn quietly(command: &mut Command) -> io::Result<ExitStatus> {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status()
    }

    #[test]
    fn a_failing_stage_stops_the_run_and_names_the_command() {
        let mut started = Vec::new();
        let report = run(&[works(), breaks(), later()], |command| {
            started.push(command.get_args().next().map(ToOwned::to_owned));
            quietly(command)
        });

        assert_eq!(started, [Some("--version".into()), Some("no-such-task".into())]);
        let failure = report.failure().expect("a stage failed");
        assert!(failure.starts_with("stage breaks failed (exit"), "{failure}");
        assert!(failure.ends_with("\n    REASON=\"no such task\" cargo no-such-task --now"), "{failure}");
    }

    #[test]
    fn the_table_shows_every_stage_with_its_result() {
        let table = run(&[works(), breaks(), later()], quietly).to_string();
        let results: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();

        assert_eq!(results[0], ["stage", "result", "seconds"]);
        assert_eq!(results[1][..2], ["works", "ok"]);
        assert_eq!(results[2][..2], ["breaks", "failed"]);
        assert_eq!(results[3], ["later", "not", "run", "-"]);
        assert_eq!(results[4][0], "total");
    }

    #[test]
    fn a_run_without_a_failure_reports_none() {
        assert_eq!(run(&[works(), later()], quietly).failure(), None);
    }

    #[test]
    fn a_command_that_cannot_start_fails_its_stage_with_the_reason() {
        let report = run(&[works()], |_| Err(io::Error::from(io::ErrorKind::NotFound)));
        let failure = report.failure().expect("the stage failed");
        assert!(failure.contains("cannot start cargo: entity not found"), "{failure}");
    }

    #[test]
    fn the_variables_of_a_stage_reach_its_command() {
        let mut seen = Vec::new();
        run(&[breaks()], |command| {
            let set = command.get_envs().filter(|(_, value)| value.is_some());
            seen.extend(set.map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))));
            quietly(command)
        });
        assert_eq!(seen, [("REASON".into(), Some("no such task".into()))]);
    }

    #[test]
    fn a_command_of_cargo_knows_nothing_of_this_package() {
        let command = cargo();
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(std::env::var_os(name).is_some(), "cargo sets {name} for a test");
            assert!(removed.iter().any(|(removed, _)| *removed == name), "{name} is passed on");
        }
    }
}
