//! A page of the documentation, its commands and their working folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::{Launch, Program, built};
use tempfile::TempDir;

/// The expected outcome of a command.
pub(crate) enum Outcome {
    /// It succeeds, and its output contains this.
    Prints(&'static str),
    /// It runs until the end of the page.
    Stays,
}

/// A page under test.
pub(crate) struct Page {
    name: &'static str,
    text: String,
    folder: TempDir,
    variables: Vec<(String, String)>,
    replaced: Vec<(String, String)>,
    running: Vec<Program>,
}

/// A part of a page that is run or written.
enum Part {
    Command(String),
    /// A configuration, for the file that the next command names.
    Toml(String),
}

impl Page {
    pub(crate) fn open(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let folder = TempDir::new().unwrap();
        Self { name, text, folder, variables: Vec::new(), replaced: Vec::new(), running: Vec::new() }
    }

    /// Returns the folder in which the commands run.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Sets an environment variable, as the page says.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Replaces an address or a name of the page by that of this test.
    pub(crate) fn replace(&mut self, here: &str, there: &str) {
        assert!(self.text.contains(here), "{} no longer has {here:?}", self.name);
        self.replaced.push((here.to_owned(), there.to_owned()));
    }

    /// Runs the page, whose commands must be these, in this order. Commands that stay run until the page is dropped.
    pub(crate) async fn run(&mut self, wanted: &[(&str, Outcome)]) {
        let parts = self.parts();
        let written: Vec<&str> = parts
            .iter()
            .filter_map(|part| if let Part::Command(line) = part { Some(line.as_str()) } else { None })
            .collect();
        let known: Vec<&str> = wanted.iter().map(|(line, _)| *line).collect();
        assert_eq!(written, known, "{} has other commands than its test", self.name);
        let (mut outcomes, mut toml) = (wanted.iter(), None);
        for part in parts {
            match part {
                Part::Toml(text) => toml = Some(text),
                Part::Command(line) => {
                    if let Some((file, text)) = configuration(&line).zip(toml.as_ref()) {
                        fs::write(self.folder.path().join(file), self.here(text)).unwrap();
                    }
                    let (_, outcome) = outcomes.next().expect("as many as there are commands");
                    self.step(&line, outcome).await;
                }
            }
        }
        self.running.iter_mut().for_each(Program::is_alive_still);
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let fences = self.text.split("\n```").skip(1).step_by(2);
        for (kind, block) in fences.filter_map(|fence| fence.split_once('\n')) {
            match kind {
                "toml" => parts.push(Part::Toml(format!("{block}\n"))),
                "sh" => {
                    // A line that ends with a backslash continues.
                    let block = block.replace("\\\n", "");
                    let lines = block
                        .lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty() && !line.starts_with('#'));
                    parts.extend(lines.map(|line| Part::Command(line.to_owned())));
                }
                _ => {}
            }
        }
        parts
    }

    fn here(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (here, there)| text.replace(here, there))
    }

    async fn step(&mut self, line: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Stays => {
                // Replaces the shell, to make the command killable.
                let command = self.shell(&format!("exec {}", self.here(line)));
                self.running.push(Launch::with(line, command).log(&self.folder.path().join(LOG)).start());
            }
            // A command that has just started answers a moment later.
            Outcome::Prints(text) if line.starts_with("curl ") => {
                eventually(line, DEADLINE, async || self.prints(line, text).is_ok()).await;
            }
            Outcome::Prints(text) => self.prints(line, text).unwrap_or_else(|said| panic!("{line}\n{said}")),
        }
    }

    fn prints(&self, line: &str, text: &str) -> Result<(), String> {
        let output = self.shell(&self.here(line)).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && printed.contains(text) {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        Err(format!("ended with {}, should have printed {text:?}:\n{printed}{told}", output.status))
    }

    fn shell(&self, line: &str) -> Command {
        let messagekit = built("messagekit");
        let ours = messagekit.parent().unwrap().to_str().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-euc", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", format!("{ours}:{path}"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The log of the commands that stay.
const LOG: &str = "log";

/// Returns the file from which a command reads its configuration.
fn configuration(line: &str) -> Option<&str> {
    line.split_once("--config ")?.1.split_whitespace().next()
}
