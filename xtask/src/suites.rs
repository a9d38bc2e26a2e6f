//! The test programs of the workspace: compares the built ones with the expected ones, and runs them in parallel lanes.
//!
//! Programs that need a broker run one after another, because some of them stop it. Programs that need only the database or no
//! service run beside them, like the examples in the documentation. The tests of the whole path take every service down: they
//! run beside the others if they have their own services, and otherwise after them.

use std::fmt;
use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::guard;
use crate::stack::Service;
use crate::terminal::say;

/// A test target: a library, a program or a test of a package, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    package: String,
    kind: String,
    name: String,
}

/// The resource that suites share: suites of one lane run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Alone,
    Database,
    Brokers,
    Path,
}

/// A test program that was built, or another test command.
#[derive(Debug)]
pub(crate) struct Suite {
    target: Target,
    lane: Lane,
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
}

/// The result of a suite.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
    took: Duration,
    /// The reason of the failure.
    failure: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.as_str() {
            "test" => write!(f, "{}: {}", self.package, self.name),
            kind => write!(f, "{}: {kind} {}", self.package, self.name),
        }
    }
}

impl Target {
    fn read(package: &str, target: &Value) -> Option<Self> {
        let (kind, name) = (target["kind"][0].as_str()?, target["name"].as_str()?);
        Some(Self { package: package.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
    }
}

/// Returns the suites among the messages of a build.
///
/// # Errors
/// Returns an error when a target that `metadata` has for these services was not built: a run must not pass with missing tests.
pub(crate) fn built(metadata: &Value, messages: &str, services: &[String]) -> Result<Vec<Suite>, String> {
    let mut expected = expected(metadata, services);
    let mut suites = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(program) = message["executable"].as_str() else { continue };
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            continue;
        }
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        let package = list(&metadata["packages"]).iter().find(|package| package["manifest_path"] == manifest);
        let package = package.and_then(|package| package["name"].as_str()).unwrap_or_default();
        let target = Target::read(package, &message["target"]).unwrap_or_else(|| panic!("{line}"));
        let at = expected.iter().position(|(known, _)| *known == target);
        let at = at.ok_or_else(|| format!("{target} was built and is no target of this workspace"))?;
        let (target, lane) = expected.swap_remove(at);
        let folder = Path::new(manifest).parent().unwrap_or(Path::new(".")).to_owned();
        suites.push(Suite { target, lane, program: program.into(), arguments: Vec::new(), folder });
    }
    if !expected.is_empty() {
        let missing: Vec<String> = expected.iter().map(|(target, _)| target.to_string()).collect();
        return Err(format!("not built, and so not run: {}", missing.join("; ")));
    }
    // The compilers finish in no fixed order.
    suites.sort_by_key(|suite| suite.target.clone());
    Ok(suites)
}

/// Returns every target with tests and its lane, except those that need a service that does not run.
fn expected(metadata: &Value, services: &[String]) -> Vec<(Target, Lane)> {
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default();
        for target in list(&package["targets"]).iter().filter(|target| target["test"] == true) {
            // A feature that is no service is on by default.
            let is_service = |need: &&Value| Service::ALL.iter().any(|service| **need == service.to_string());
            let needs: Vec<_> =
                list(&target["required-features"]).iter().filter(is_service).cloned().collect();
            let runs = |need: &Value| services.iter().any(|service| *need == service.as_str());
            if let (true, Some(target)) = (needs.iter().all(runs), Target::read(name, target)) {
                found.push((target, Lane::of(&needs)));
            }
        }
    }
    found
}

/// Runs the suites and the given command for the examples in the documentation, each with its output in one piece. A failure
/// does not stop the others, and neither does a suite that hangs: it is killed after the limit.
pub(crate) fn run(
    suites: Vec<Suite>,
    doc: Suite,
    shared: &[(&str, String)],
    path: Option<&[(&str, String)]>,
    limit: Duration,
    logs: &Path,
) -> Vec<Run> {
    let all: Vec<Suite> = suites.into_iter().chain([doc]).collect();
    let run = |lane: Lane, env: &[(&str, String)]| -> Vec<Run> {
        all.iter().filter(|suite| suite.lane == lane).map(|suite| suite.run(env, limit, logs)).collect()
    };
    let run = &run;
    let mut runs: Vec<Run> = thread::scope(|scope| {
        let beside = [Lane::Brokers, Lane::Database, Lane::Alone].map(|lane| (lane, shared));
        let beside = beside.into_iter().chain(path.map(|path| (Lane::Path, path)));
        let lanes: Vec<_> = beside.map(|(lane, env)| scope.spawn(move || run(lane, env))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    if path.is_none() {
        runs.extend(run(Lane::Path, shared));
    }
    runs
}

impl Lane {
    /// Returns the lane of a target that needs these services.
    fn of(needs: &[Value]) -> Self {
        match needs {
            [] => Self::Alone,
            [need] if need == "postgres" => Self::Database,
            needs if needs.iter().any(|need| need == "connect") => Self::Path,
            _ => Self::Brokers,
        }
    }
}

impl Suite {
    /// Returns the suite of the examples in the documentation.
    pub(crate) fn doc(command: &Command) -> Self {
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        Self {
            target: Target { package: "workspace".into(), kind: "test".into(), name: "documentation".into() },
            lane: Lane::Alone,
            program: command.get_program().into(),
            arguments: command.get_args().map(text).collect(),
            folder: PathBuf::from("."),
        }
    }

    fn run(&self, env: &[(&str, String)], limit: Duration, logs: &Path) -> Run {
        say(format_args!("-- {} begins", self.target));
        let log =
            logs.join(format!("test-{}-{}-{}.log", self.target.package, self.target.kind, self.target.name));
        let started = Instant::now();
        let failure = self.execute(env, limit, &log).err();
        let took = started.elapsed();
        let output = fs::read(&log).unwrap_or_default();
        let how = failure.as_deref().unwrap_or("ok");
        let output = String::from_utf8_lossy(&output);
        say(format_args!("\n== {}: {how}, {:.1} s\n{output}", self.target, took.as_secs_f64()));
        Run { name: self.target.to_string(), took, failure }
    }

    fn execute(&self, env: &[(&str, String)], limit: Duration, log: &Path) -> Result<(), String> {
        let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = files.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).stdout(output).stderr(errors);
        command.envs(env.iter().map(|(name, value)| (*name, value)));
        // Cargo sets these variables for a test program. The path of shared libraries is the same.
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.target.package);
        command.env("CARGO_MANIFEST_PATH", self.folder.join("Cargo.toml"));
        let status = guard::status_within(limit, &mut command);
        match status.map_err(|error| format!("cannot run {}: {error}", self.program.display()))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("failed ({status})")),
            None => Err(format!("it did not end within {} minutes and was killed", limit.as_secs() / 60)),
        }
    }
}

/// The table of a run with times and failures.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) build: Duration,
    pub(crate) runs: &'a [Run],
    pub(crate) total: Duration,
}

impl Table<'_> {
    /// Returns whether every suite passed.
    pub(crate) fn is_green(&self) -> bool {
        self.runs.iter().all(|run| run.failure.is_none())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<48}{:<8}{:>8}", "suite", "result", "seconds")?;
        let mut row = |name: &str, result: &str, took: Duration| {
            writeln!(f, "{name:<48}{result:<8}{:>8.1}", took.as_secs_f64())
        };
        row("build and start of the services", "ok", self.build)?;
        for run in self.runs {
            row(&run.name, if run.failure.is_some() { "failed" } else { "ok" }, run.took)?;
        }
        row("total, lanes side by side", "", self.total)?;
        for run in self.runs {
            if let Some(failure) = &run.failure {
                writeln!(f, "{}: {failure}", run.name)?;
            }
        }
        Ok(())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::members;

    #[test]
    fn every_target_with_tests_is_in_one_lane_when_all_services_run() {
        let metadata = members::metadata().expect("cargo metadata works");
        let services = Service::ALL.map(|service| service.to_string());
        let (mut messages, mut with_tests) = (String::new(), 0);
        for package in list(&metadata["packages"]) {
            for target in list(&package["targets"]).iter().filter(|target| target["test"] == true) {
                with_tests += 1;
                let (manifest, profile) = (&package["manifest_path"], serde_json::json!({"test": true}));
                messages += &serde_json::json!({
                    "reason": "compiler-artifact", "manifest_path": manifest, "target": target,
                    "profile": profile, "executable": "/program",
                })
                .to_string();
                messages.push('\n');
            }
        }
        let suites = built(&metadata, &messages, &services).expect("everything is built");
        let different: BTreeSet<&Target> = suites.iter().map(|suite| &suite.target).collect();
        assert_eq!((suites.len(), different.len()), (with_tests, with_tests));
        // They take brokers down, or need them up: they never run at the same time.
        let names = |lane: Lane| {
            let suites = suites.iter().filter(|suite| suite.lane == lane);
            suites.map(|suite| &*suite.target.name).collect::<Vec<_>>()
        };
        let brokers = names(Lane::Brokers);
        for name in ["bookkeeper", "kafka", "rabbitmq", "rabbitmq_blocked", "relay", "membership", "bridge"] {
            assert!(brokers.contains(&name), "{name} would run beside the others: {brokers:?}");
        }
        assert_eq!(names(Lane::Database), ["admin", "postgres"]);
        assert_eq!(names(Lane::Path), ["doctor", "path"]);
    }

    /// A program without tests of its own is not linked a second time to find none; one with tests must be.
    #[test]
    fn what_is_not_tested_has_no_tests() {
        let metadata = members::metadata().expect("cargo metadata works");
        let mut looked = 0;
        for target in list(&metadata["packages"]).iter().flat_map(|package| list(&package["targets"])) {
            if target["test"] == true || target["kind"][0] == "custom-build" {
                continue;
            }
            let source = PathBuf::from(target["src_path"].as_str().expect("a path"));
            let is_folder = source.file_name().is_some_and(|name| name == "main.rs");
            let of_library = source.with_file_name("lib.rs").exists();
            let folder = source.parent().expect("a folder");
            let files = match is_folder && !of_library {
                true => {
                    fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect()
                }
                false => vec![source],
            };
            for file in files.into_iter().filter(|file| file.is_file()) {
                let text = fs::read_to_string(&file).expect("a file of text");
                assert!(!text.contains("test]\n"), "the tests of {} are never run", file.display());
                looked += 1;
            }
        }
        assert!(looked > 15, "only {looked} files were looked at");
    }

    #[test]
    fn what_needs_a_service_that_does_not_run_is_not_expected() {
        let metadata = members::metadata().expect("cargo metadata works");
        let names = |services: &[&str]| {
            let services: Vec<String> = services.iter().map(ToString::to_string).collect();
            expected(&metadata, &services)
                .into_iter()
                .map(|(target, _)| target.to_string())
                .collect::<Vec<_>>()
        };
        let kafka = names(&["kafka"]);
        assert!(kafka.contains(&"messagekit-tests: kafka".to_owned()));
        assert!(!kafka.contains(&"messagekit-tests: relay".to_owned()));
        assert!(names(&[]).contains(&"messagekit-tests: it".to_owned()));
    }
}
