//! A service in its own process: started, killed, and never left behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// The time that a process has to report that it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the path of a program that was built together with these tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace`", path.display());
    path
}

/// The receiver of the traces of all programs.
static TRACES: Mutex<Option<String>> = Mutex::new(None);

/// Makes programs that start from now on export their traces, until it is dropped. The tests run one at a time.
pub(crate) struct Traced;

impl Traced {
    pub(crate) fn to(endpoint: String) -> Self {
        *TRACES.lock().unwrap() = Some(endpoint);
        Self
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        *TRACES.lock().unwrap() = None;
    }
}

/// A running service. A drop kills it.
pub(crate) struct Process {
    name: &'static str,
    /// What it writes to stderr. Others with its name run at the same time.
    log: PathBuf,
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts a program. Its output goes to a file that errors name.
    pub(crate) fn start(name: &'static str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(name, &[], settings)
    }

    /// Starts a program with arguments.
    pub(crate) fn start_with(name: &'static str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_as(name, name, arguments, settings)
    }

    /// Starts a program with arguments and its own log name.
    pub(crate) fn start_as(
        name: &'static str,
        program_name: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let log = new_log(name);
        let errors = File::create(&log).expect("a log can be written");
        let mut command = Command::new(program(program_name));
        command.args(arguments).envs(settings.iter().copied());
        command.envs(TRACES.lock().unwrap().iter().map(|endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)));
        command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("the service starts");
        let output = child.stdout.take().expect("it was piped");
        let (tell, lines) = mpsc::channel();
        // Read to the end, even without a receiver: a full pipe would block the service.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        Self { name, log, child, lines }
    }

    /// Waits for the line with its address, and returns that address.
    pub(crate) fn address(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("{} did not start: see {}", self.name, self.log.display()));
        let address = line.strip_prefix("listening on ").map(str::to_owned);
        address.unwrap_or_else(|| panic!("{} said {line:?}", self.name))
    }

    /// Returns what it has logged.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(&self.log).expect("a log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.is_alive_still();
        self.end();
    }

    /// Asserts that it has not exited.
    pub(crate) fn is_alive_still(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "{} ended by itself, {ended:?}: see {}", self.name, self.log.display());
    }

    /// Returns its exit code, or `None` while it runs.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.child.try_wait().expect("a child can be asked").and_then(|status| status.code())
    }

    /// Sends SIGTERM, and waits for a successful exit.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be asked to end");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{} ended with {status}: see {}", self.name, self.log.display());
    }

    /// Sends SIGTERM, and returns its exit status, or `None` after `patience`.
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

    /// Returns its name, with which its log begins.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the lines that it has written to stderr, and those of stdout that were not taken from there.
    pub(crate) fn output(&self) -> Vec<String> {
        self.log().lines().map(str::to_owned).chain(self.lines.try_iter()).collect()
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

/// Returns the path of a log that no other process of this run has.
fn new_log(name: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}.log"))
}
