//! How a test starts a program that was built together with it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use messagekit_testkit::crash;

use crate::Program;

/// Returns the path of a program that was built together with the tests.
///
/// # Panics
/// If it is not built.
pub fn built(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace`", path.display());
    path
}

/// Returns a command of a built program, without input and without settings of the machine.
///
/// # Panics
/// If it is not built.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(built(name));
    command.stdin(Stdio::null()).env_remove("MESSAGEKIT_DATABASE_URL").env_remove(crash::VARIABLE);
    command
}

/// A program with its arguments and variables, before its start.
#[derive(Debug)]
pub struct Launch {
    name: String,
    command: Command,
    log: Option<PathBuf>,
}

impl Launch {
    /// A built program. What it writes to stderr goes to a log of its own.
    pub fn of(program: &str) -> Self {
        Self::with(program, command(program))
    }

    /// Another command, such as a shell that becomes a program.
    pub fn with(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), command, log: None }
    }

    /// Replaces its name, which panics and logs show.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds an argument that is a path.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        self.command.arg(path);
        self
    }

    /// Adds variables to its environment.
    #[must_use]
    pub fn variables<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.command.envs(variables);
        self
    }

    /// Makes it abort at a crash point, if there is one.
    ///
    /// # Panics
    /// If it was built without crash points.
    #[must_use]
    pub fn crash_at(mut self, point: Option<&str>) -> Self {
        if let Some(point) = point {
            has_points(self.command.get_program());
            self.command.env(crash::VARIABLE, point);
        }
        self
    }

    /// Gives it an input, whose end the test decides.
    #[must_use]
    pub fn with_input(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Appends what it writes to stderr to this file.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// Starts it. The test reads its lines.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(self) -> Program {
        let (tell, lines) = std::sync::mpsc::channel();
        // Read to the end, even without a receiver: a full pipe would block the program.
        let mut program = self.start_heard(move |line| drop(tell.send(line)));
        program.lines = lines;
        program
    }

    /// Starts it. `hear` gets each line while it runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_heard(mut self, hear: impl FnMut(String) + Send + 'static) -> Program {
        let log = self.log.unwrap_or_else(|| new_log(&self.name));
        let errors = File::options().append(true).create(true).open(&log).expect("a log can be written");
        self.command.stdout(Stdio::piped()).stderr(errors);
        Program::spawn(self.name, &mut self.command, log, hear)
    }
}

/// Asserts that a program was built with crash points: no other build contains the variable.
fn has_points(path: &OsStr) {
    static KNOWN: Mutex<BTreeSet<OsString>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.contains(path) {
        return;
    }
    let bytes = fs::read(path).expect("a program can be read");
    let variable = crash::VARIABLE.as_bytes();
    assert!(
        bytes.windows(variable.len()).any(|window| window == variable),
        "{} was built without messagekit's feature `crash-points`: run `cargo build --workspace`, which turns it on",
        path.display()
    );
    known.insert(path.to_owned());
}

/// Returns the folder of the programs of this build. A test is in a folder of this folder.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a program knows its path");
    test.ancestors().nth(2).expect("a test is in two folders").to_owned()
}

/// Returns the path of a new log, which no other process of this run has.
fn new_log(name: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = programs().with_file_name("tmp");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let log = folder.join(format!("{}-{name}-{number}.log", suite()));
    File::create(&log).expect("a log can be written");
    log
}

/// Returns the name of the suite that runs.
fn suite() -> String {
    let test = std::env::current_exe().expect("a program knows its path");
    let name = test.file_stem().expect("a test has a name").to_string_lossy().into_owned();
    name.rsplit_once('-').map_or(name.clone(), |(suite, _)| suite.to_owned())
}
