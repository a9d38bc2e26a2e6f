//! Programs beside each other on one file, with pipes between.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::command::{Answer, on};

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// A file with topics.
pub(crate) struct Shell {
    folder: TempDir,
}

/// A program that runs, and its output as it comes.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// With a topic of this name and these further arguments.
    pub(crate) fn with(topic: &[&str]) -> Self {
        let shell = Self::new();
        shell.topics(&[&["create"], topic].concat()).text();
        shell
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("topics.db")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Runs `messagekit topics` without input.
    pub(crate) fn topics(&self, arguments: &[&str]) -> Answer {
        on(&self.file(), &[&["topics"], arguments].concat())
    }

    /// Runs `messagekit replay read`.
    pub(crate) fn read(&self, arguments: &[&str]) -> Answer {
        on(&self.file(), &[&["replay", "read"], arguments].concat())
    }

    /// Starts `messagekit replay read`, which goes on.
    pub(crate) fn reading(&self, arguments: &[&str]) -> Running {
        Running::of(command(&self.file(), &["replay", "read"], arguments).stdin(Stdio::null()))
    }

    /// Starts `messagekit replay read`, whose output the caller reads.
    pub(crate) fn reading_unread(&self, arguments: &[&str]) -> Child {
        command(&self.file(), &["replay", "read"], arguments).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `messagekit replay bench`.
    pub(crate) fn bench(&self, arguments: &[&str]) -> Answer {
        on(&self.file(), &[&["replay", "bench"], arguments].concat())
    }

    /// Starts `messagekit replay bench`, which goes on.
    pub(crate) fn benching(&self, arguments: &[&str]) -> Running {
        Running::of(command(&self.file(), &["replay", "bench"], arguments).stdin(Stdio::null()))
    }

    /// Returns the names in the folder that have this part.
    pub(crate) fn files_with(&self, part: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(part)).collect()
    }

    /// Waits until there is a file whose name has this part.
    pub(crate) fn until_file(&self, part: &str) {
        let begun = Instant::now();
        while self.files_with(part).is_empty() {
            assert!(begun.elapsed() < DEADLINE, "no file {part} was made");
            std::thread::yield_now();
        }
    }

    /// Runs `messagekit topics` with a text as standard input.
    pub(crate) fn piped(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut child = command(&self.file(), &["topics"], arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The program may end before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Answer { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts `messagekit topics`, which goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(command(&self.file(), &["topics"], arguments).stdin(Stdio::piped()))
    }

    /// Starts `messagekit topics` with an output that nothing reads.
    pub(crate) fn unread(&self, arguments: &[&str]) -> Child {
        let mut child = command(&self.file(), &["topics"], arguments).stdin(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child
    }
}

/// Waits for the end of a program, and leaves its input open.
pub(crate) fn ended(mut child: Child) -> Output {
    let stdin = child.stdin.take();
    let (sender, output) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let output = output.recv_timeout(DEADLINE);
    // Only now: a program that reads would end with its input.
    drop(stdin);
    output.expect("the program ends")
}

fn command(file: &Path, words: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messagekit"));
    command.args(words).args(arguments).arg("--database").arg(format!("sqlite:{}", file.display()));
    command.env_remove("MESSAGEKIT_DATABASE_URL").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Running {
    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Self { child, lines }
    }

    /// Waits for the end of the program, and returns its code and what it has said of errors.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }

    /// Waits for the next line of output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line is printed")
    }

    /// Waits for the end of the output, and expects nothing more.
    pub(crate) fn prints_no_more(&self) {
        assert_eq!(self.lines.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "{signal}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
