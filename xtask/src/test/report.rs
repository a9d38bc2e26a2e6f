//! What a run of the tests prints: a line for each suite, the end of the output of a failed one, and the table.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::suites::Target;

/// How many lines of a failed suite are shown when its list of failures is shorter.
const LINES: usize = 40;
/// The most lines of a failed suite that are shown.
const MOST: usize = 400;

/// The result of a suite. [`Display`](fmt::Display) writes its line, and the end of the output of a failed one.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) target: Target,
    pub(crate) took: Duration,
    /// The processor time of the suite, without that of the services.
    pub(crate) computed: Duration,
    /// The reason of the failure.
    pub(crate) failure: Option<String>,
    /// The file with the whole output.
    pub(crate) log: PathBuf,
    pub(crate) output: String,
}

/// The table of a run with times and failures.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) build: Duration,
    pub(crate) runs: &'a [Run],
    pub(crate) total: Duration,
}

impl Run {
    /// Returns the command that runs this suite again with its services.
    fn command(&self) -> String {
        format!("cargo xtask test --suite '{}'", self.target)
    }

    /// Returns the end of the output: the list of failures, or the last lines when there is none.
    fn end(&self) -> String {
        let lines: Vec<&str> = self.output.trim_end().lines().collect();
        let failures = lines.iter().position(|line| *line == "failures:").unwrap_or(lines.len());
        let from = failures.min(lines.len().saturating_sub(LINES)).max(lines.len().saturating_sub(MOST));
        lines[from..].join("\n")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let Some(failure) = &self.failure else {
            write!(f, "== {}: ok, {seconds:.1} s", self.target)?;
            // The line that says how many tests there were; the documentation has one for each package.
            let results = self.output.lines().filter(|line| line.starts_with("test result:"));
            return results.into_iter().try_for_each(|line| write!(f, "\n   {line}"));
        };
        writeln!(f, "\n== {}: {failure}, {seconds:.1} s", self.target)?;
        writeln!(f, "{}", self.end())?;
        writeln!(f, "-- all of it: {}", self.log.display())?;
        writeln!(f, "-- again: {}", self.command())
    }
}

impl Table<'_> {
    /// Returns whether every suite passed.
    pub(crate) fn is_green(&self) -> bool {
        self.runs.iter().all(|run| run.failure.is_none())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<48}{:<8}{:>8}{:>10}", "suite", "result", "seconds", "processor")?;
        let mut row = |name: &str, result: &str, took: Duration, computed: Option<Duration>| {
            let computed = computed.map_or_else(String::new, |time| format!("{:>10.1}", time.as_secs_f64()));
            writeln!(f, "{name:<48}{result:<8}{:>8.1}{computed}", took.as_secs_f64())
        };
        row("build and start of the services", "ok", self.build, None)?;
        for run in self.runs {
            let result = if run.failure.is_some() { "failed" } else { "ok" };
            row(&run.target.to_string(), result, run.took, Some(run.computed))?;
        }
        let computed = self.runs.iter().map(|run| run.computed).sum();
        row("total, lanes side by side", "", self.total, Some(computed))?;
        for run in self.runs {
            if let Some(failure) = &run.failure {
                writeln!(f, "{}: {failure}; again: {}", run.target, run.command())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(output: String) -> Run {
        let target = Target { package: "messagekit-tests".into(), kind: "test".into(), name: "path".into() };
        let failure = Some("failed (exit status: 101)".into());
        Run { target, took: Duration::ZERO, computed: Duration::ZERO, failure, log: "the.log".into(), output }
    }

    #[test]
    fn a_failed_suite_shows_its_end_its_log_and_its_command() {
        let text = failed((0..100).map(|line| format!("line {line}\n")).collect()).to_string();
        assert!(text.contains("\nline 60\n") && text.contains("\nline 99\n"), "{text}");
        assert!(!text.contains("line 59"), "{text}");
        assert!(text.ends_with(
            "-- all of it: the.log\n-- again: cargo xtask test --suite 'messagekit-tests: path'\n"
        ));
    }

    #[test]
    fn the_reason_of_a_failure_is_shown_however_far_from_the_end() {
        let tests: String = (0..300).map(|line| format!("test {line} ... ok\n")).collect();
        let reason: String = (0..100).map(|line| format!("reason {line}\n")).collect();
        let text = failed(format!("{tests}failures:\n{reason}")).to_string();
        assert!(text.contains("reason 0\n") && !text.contains("test 299"), "{text}");
        let endless: String = (0..9_999).map(|line| format!("reason {line}\n")).collect();
        assert!(failed(format!("failures:\n{endless}")).to_string().lines().count() < 500);
    }

    #[test]
    fn a_suite_that_passed_shows_how_many_tests_there_were() {
        let output = "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed\n".to_owned();
        let run = Run { failure: None, ..failed(output) };
        let text = "== messagekit-tests: path: ok, 0.0 s\n   test result: ok. 2 passed; 0 failed";
        assert_eq!(run.to_string(), text);
    }
}
