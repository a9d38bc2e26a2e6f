//! Notices commits of other processes.
//!
//! A watch on the write-ahead log tells that a process writes. It tells so before the commit can be read, by the time of a flush, so
//! a number of the file is then read again and again, in growing pauses, until it has changed.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::connect;
use crate::error::closed;
use crate::look::{Interval, data_version};
use crate::open_file::OpenFile;

/// The pauses between two looks after a notice: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// How long to look after the last notice or commit.
const ATTENTION: Duration = Duration::from_millis(20);
/// How long to look after a notice whose commit has not come: its flush takes long.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two looks without a notice, in case that one was lost.
const SELDOM: Duration = Duration::from_secs(1);

/// The watch of an open file, which runs while anyone waits.
#[derive(Debug, Default)]
pub(crate) struct ForeignCommits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    watch: Weak<FileWatch>,
    thread: Option<JoinHandle<()>>,
    is_closed: bool,
}

/// A running watch. It ends with its last holder.
#[derive(Debug)]
pub(crate) struct FileWatch {
    signals: Sender<Signal>,
    commits: watch::Receiver<u64>,
}

#[derive(Debug)]
enum Signal {
    Written,
    Stop,
}

impl ForeignCommits {
    /// Returns the running watch, or starts one.
    pub(crate) fn watch(&self, database: &Path, file: &Arc<OpenFile>) -> Result<Arc<FileWatch>, Error> {
        let mut state = self.lock();
        if let Some(watch) = state.watch.upgrade() {
            return Ok(watch);
        }
        if state.is_closed {
            return Err(closed());
        }
        // The one before was told to stop.
        join(state.thread.take());
        let (signals, waiting) = mpsc::channel();
        let (count, commits) = watch::channel(0);
        file.check()?;
        let conn = connect::reader(database)?;
        let version = data_version(&conn)?;
        let notices = notices(database, signals.clone());
        let file = Arc::clone(file);
        let looking = Looking { conn, file, version, waiting, count, notices, interval: Interval::new() };
        let spawned =
            thread::Builder::new().name("messagekit-commits".to_owned()).spawn(move || looking.run());
        let thread = spawned.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread to notice other processes").caused_by(error)
        })?;
        let watch = Arc::new(FileWatch { signals, commits });
        (state.watch, state.thread) = (Arc::downgrade(&watch), Some(thread));
        Ok(watch)
    }

    /// Ends the watch. Its connection is closed when this returns.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        if let Some(watch) = state.watch.upgrade() {
            watch.signals.send(Signal::Stop).ok();
        }
        join(state.thread.take());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("thread that notices other processes panicked");
    }
}

impl FileWatch {
    /// Returns a number that grows with commits of other processes. Its sender is dropped with the watch.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.signals.send(Signal::Stop).ok();
    }
}

/// Asks the system for a signal at each write to the log. Without one, the file is looked at more often.
fn notices(database: &Path, signals: Sender<Signal>) -> Option<RecommendedWatcher> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            signals.send(Signal::Written).ok();
        }
    };
    let watching = notify::recommended_watcher(tell).and_then(|mut watcher| {
        watcher.watch(&PathBuf::from(log), RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            tracing::debug!(%error, "file system gives no notice of writes: commits of other processes are looked for");
        })
        .ok()
}

/// The thread's own state.
struct Looking {
    conn: Connection,
    file: Arc<OpenFile>,
    version: i64,
    waiting: Receiver<Signal>,
    count: watch::Sender<u64>,
    notices: Option<RecommendedWatcher>,
    /// Without notices.
    interval: Interval,
}

impl Looking {
    fn run(mut self) {
        loop {
            let longest = if self.notices.is_some() { SELDOM } else { self.interval.get() };
            match self.waiting.recv_timeout(longest) {
                Ok(Signal::Written) => {
                    if self.look_closely().is_break() {
                        return;
                    }
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.file.check() {
                        // The end of the count wakes each waiting reader, which asks for the reason.
                        tracing::error!(%error, "commits of other processes are no longer noticed");
                        return;
                    }
                    let has_changed = self.look();
                    self.interval.looked(has_changed);
                }
            }
        }
    }

    /// Looks until no notice has come for a while and the commit of the last one has been seen.
    fn look_closely(&mut self) -> std::ops::ControlFlow<()> {
        let (mut noticed, mut pause, mut is_seen) = (Instant::now(), FIRST_PAUSE, false);
        loop {
            loop {
                match self.waiting.try_recv() {
                    Ok(Signal::Written) => (noticed, pause, is_seen) = (Instant::now(), FIRST_PAUSE, false),
                    Ok(Signal::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                        return std::ops::ControlFlow::Break(());
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            if self.look() {
                (noticed, pause, is_seen) = (Instant::now(), FIRST_PAUSE, true);
            }
            let enough = if is_seen { ATTENTION } else { PATIENCE };
            if noticed.elapsed() > enough {
                return std::ops::ControlFlow::Continue(());
            }
            thread::sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns whether there was a commit since the last look, and tells those who wait.
    fn look(&mut self) -> bool {
        let version = match data_version(&self.conn) {
            Ok(version) => version,
            Err(error) => {
                tracing::warn!(%error, "file cannot be looked at for commits of other processes");
                return false;
            }
        };
        let has_changed = version != self.version;
        if has_changed {
            self.version = version;
            self.count.send_modify(|count| *count += 1);
        }
        has_changed
    }
}
