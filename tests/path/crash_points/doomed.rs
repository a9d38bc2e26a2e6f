//! A service that aborts at a crash point.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use messagekit_testkit::crash::{self, Ended};
use messagekit_testkit::{DEADLINE, eventually};

use crate::process::program;

/// The process of such a service. A drop kills it.
pub(super) struct Doomed {
    child: Child,
}

impl Doomed {
    /// Starts it. It aborts when it reaches the point for the `time`th time.
    pub(super) fn start(name: &'static str, settings: &[(&str, &str)], point: &str, time: usize) -> Self {
        has_points(name);
        let log = File::options().append(true).create(true).open(log(point)).expect("a log can be written");
        let mut command = Command::new(program(name));
        command.envs(settings.iter().copied()).env(crash::VARIABLE, format!("{point}:{time}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().expect("the service starts") }
    }

    /// Waits until one of them has aborted at the point, and kills the others. Calls `meanwhile` repeatedly until then.
    pub(super) async fn until_one_died(mut all: Vec<Self>, point: &str, mut meanwhile: impl AsyncFnMut()) {
        let log = log(point);
        eventually(&format!("a service reaches {point}, see {}", log.display()), 2 * DEADLINE, async || {
            meanwhile().await;
            all.iter_mut().any(Self::has_ended)
        })
        .await;
        let ends: Vec<_> = all.iter_mut().map(Self::end).collect();
        let by_itself = |end: &Ended| !matches!(end, Ended::Aborted | Ended::TimedOut);
        assert!(
            ends.contains(&Ended::Aborted) && !ends.iter().any(by_itself),
            "ended by itself instead of at {point}: {ends:?}, see {}",
            log.display()
        );
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Returns how it ended, or kills it now.
    fn end(&mut self) -> Ended {
        crash::wait(&mut self.child, Duration::ZERO).expect("a child can be asked")
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn log(point: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-at-{point}.log"))
}

/// Asserts that a service was built with crash points: no other build contains the variable.
fn has_points(name: &'static str) {
    static KNOWN: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.contains(name) {
        return;
    }
    let path = program(name);
    let bytes = fs::read(&path).expect("a program can be read");
    let variable = crash::VARIABLE.as_bytes();
    assert!(
        bytes.windows(variable.len()).any(|window| window == variable),
        "{} was built without messagekit's feature `crash-points`: run `cargo build --workspace`, which turns it on",
        path.display()
    );
    known.insert(name);
}
