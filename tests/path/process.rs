//! A service as a process of its own: started, killed, and never left behind.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a process may take until it says that it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the path of a program that was built together with these tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace`", path.display());
    path
}

/// A running service. It is killed when dropped.
pub(crate) struct Process {
    /// What its log is called; the program's name, unless several run at a time.
    name: &'static str,
    /// Where its part of the log begins.
    log_from: u64,
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts a program; what it logs goes to a file that is named when something goes wrong.
    pub(crate) fn start(name: &'static str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(name, &[], settings)
    }

    /// Starts a program with arguments.
    pub(crate) fn start_with(name: &'static str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_as(name, name, arguments, settings)
    }

    /// Starts a program with arguments and a log of its own name.
    pub(crate) fn start_as(
        name: &'static str,
        program_name: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let log = File::options().append(true).create(true).open(log(name)).expect("a log can be written");
        let log_from = log.metadata().expect("a file has a length").len();
        let mut command = Command::new(program(program_name));
        command.args(arguments).envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the service starts");
        let output = child.stdout.take().expect("it was piped");
        let (tell, lines) = mpsc::channel();
        // Read to the end, whoever listens: a full pipe would stop the service.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        Self { name, log_from, child, lines }
    }

    /// Waits for the line that says where it listens, and returns that address.
    pub(crate) fn address(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        let line =
            line.unwrap_or_else(|_| panic!("{} did not start: see {}", self.name, log(self.name).display()));
        let address = line.strip_prefix("listening on ").map(str::to_owned);
        address.unwrap_or_else(|| panic!("{} said {line:?}", self.name))
    }

    /// Ends it by SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.is_alive_still();
        self.end();
    }

    /// Asserts that it has not ended by itself.
    pub(crate) fn is_alive_still(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(
            ended.is_none(),
            "{} ended by itself, {ended:?}: see {}",
            self.name,
            log(self.name).display()
        );
    }

    /// Returns the code with which it has ended by itself; `None` while it runs.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.child.try_wait().expect("a child can be asked").and_then(|status| status.code())
    }

    /// Asks it to end by SIGTERM, and waits until it has ended well.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be asked to end");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{} ended with {status}: see {}", self.name, log(self.name).display());
    }

    /// Asks it to end by SIGTERM, and returns how it has ended; `None` after so long.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be asked to end");
        let end = Instant::now() + patience;
        while Instant::now() < end {
            let status = self.child.try_wait().expect("a child can be asked");
            if status.is_some() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Returns what its log is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the lines that it has written to stderr, and to stdout without those that were taken from there.
    pub(crate) fn output(&self) -> Vec<String> {
        let written = std::fs::read(log(self.name)).expect("its log can be read");
        let written = String::from_utf8_lossy(&written[self.log_from as usize..]).into_owned();
        written.lines().map(str::to_owned).chain(self.lines.try_iter()).collect()
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn log(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"))
}
