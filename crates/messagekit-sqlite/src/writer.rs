//! The only thread that writes.
//!
//! It alternates: all one-shot jobs in one commit, then one transaction, and so on. Neither kind starves the other.

mod batch;
pub(crate) mod busy;
mod checkpoint;
mod due;
mod group;
mod guard;
mod interactive;
mod session;
#[cfg(test)]
mod tests;
mod turn;
mod unpark;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use messagekit::adapter::Wake;
use messagekit::{Error, ErrorKind};
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub(crate) use batch::{Batch, OnCommit};
use checkpoint::Checkpoints;
use due::Due;
use group::MAX_GROUP;
pub(crate) use group::{Job, job};
use guard::Guarded;
pub(crate) use guard::{aborted, refuse_control_statements};
pub(crate) use session::{Access, Ended, Session};
pub(crate) use turn::{Call, Turn};

use crate::SqliteOptions;
use crate::error::from_sqlite;

/// How long the writer looks for the next request before it sleeps: about as long as it takes to wake a thread.
const ATTENTION: Duration = Duration::from_micros(50);

/// A request to the writer.
pub(crate) enum Request {
    Job(Box<dyn Job>),
    Turn(Turn),
    /// Finish waiting work, copy the log into the file, close.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// The handle of the writer.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) thread: Thread,
    pub(crate) commits: watch::Receiver<u64>,
}

pub(crate) struct Writer {
    guarded: Rc<Guarded>,
    checkpoints: Checkpoints,
    commits: watch::Sender<u64>,
    transaction_timeout: Duration,
    due: Due,
    jobs: VecDeque<Box<dyn Job>>,
    turns: VecDeque<Turn>,
    close: Option<oneshot::Sender<Result<(), Error>>>,
}

/// Starts the thread. `open` runs on it, because migrations wait for other processes.
pub(crate) async fn start(
    open: impl FnOnce() -> Result<Connection, Error> + Send + 'static,
    options: SqliteOptions,
    news: Wake,
) -> Result<WriterHandle, Error> {
    let (requests, waiting) = mpsc::channel();
    let (commits, seen) = watch::channel(0);
    let (ready, opened) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("messagekit-sqlite".to_owned())
        .spawn(move || {
            busy::set_limit(options.busy_timeout);
            let made = open().and_then(|conn| {
                let checkpoints = Checkpoints::install(&conn);
                Ok((Rc::new(Guarded::new(conn).map_err(from_sqlite)?), checkpoints))
            });
            match made {
                Ok((guarded, checkpoints)) => {
                    let mut writer = Writer {
                        guarded,
                        checkpoints,
                        commits,
                        transaction_timeout: options.transaction_timeout,
                        due: Due::new(options.partitions.get(), news),
                        jobs: VecDeque::new(),
                        turns: VecDeque::new(),
                        close: None,
                    };
                    // Tables may have changed while no program of ours had the file open.
                    writer.append_due();
                    if ready.send(Ok(())).is_ok() {
                        writer.run(&waiting);
                    }
                }
                Err(error) => {
                    ready.send(Err(error)).ok();
                }
            }
        })
        .map_err(|error| Error::new(ErrorKind::Unavailable, "no thread for the writer").caused_by(error))?;
    let thread = thread.thread().clone();
    opened.await.map_err(|_| Error::new(ErrorKind::Other, "writer thread died while opening the file"))??;
    Ok(WriterHandle { requests, thread, commits: seen })
}

impl Writer {
    fn run(mut self, requests: &Receiver<Request>) {
        let mut attention = Duration::ZERO;
        loop {
            if self.jobs.is_empty() && self.turns.is_empty() {
                if let Some(close) = self.close.take() {
                    return self.close(close);
                }
                match self.next(requests, attention) {
                    Ok(request) => {
                        attention = ATTENTION;
                        self.queue(request);
                    }
                    Err(RecvTimeoutError::Timeout) => attention = Duration::ZERO,
                    // The last handle is gone; closing the connection cleans up.
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.look(requests);
            self.append_due();
            if !self.jobs.is_empty() {
                let group = self.jobs.drain(..self.jobs.len().min(MAX_GROUP)).collect();
                let commits = &self.commits;
                group::run(&self.guarded, group, || commits.send_modify(|count| *count += 1));
                self.checkpoints.after_commit(self.guarded.conn());
                self.due.after_commit();
            }
            self.look(requests);
            if let Some(turn) = self.turns.pop_front() {
                // Values dropped here belong to users, and a panic in their code must not end the writer.
                if catch_unwind(AssertUnwindSafe(|| self.serve(turn))).is_err() {
                    tracing::error!("work panicked while it was dropped");
                }
                self.checkpoints.after_commit(self.guarded.conn());
                self.due.after_commit();
            }
        }
    }

    fn append_due(&mut self) {
        if self.due.append(&self.guarded) {
            self.commits.send_modify(|count| *count += 1);
            self.checkpoints.after_commit(self.guarded.conn());
        }
    }

    /// Waits for a request, at first without giving up the core: a caller that waits for each commit sends its next request soon, and
    /// waking a thread takes longer than the request itself.
    fn next(&self, requests: &Receiver<Request>, attention: Duration) -> Result<Request, RecvTimeoutError> {
        let until = Instant::now() + attention;
        while Instant::now() < until {
            match requests.try_recv() {
                Ok(request) => return Ok(request),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => thread::yield_now(),
            }
        }
        requests.recv_timeout(self.due.wait())
    }

    fn look(&mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.try_recv() {
            self.queue(request);
        }
    }

    fn queue(&mut self, request: Request) {
        match request {
            Request::Job(job) => self.jobs.push_back(job),
            Request::Turn(turn) => self.turns.push_back(turn),
            Request::Close(answer) => self.close = Some(answer),
        }
    }

    fn committed(&self, on_commit: OnCommit) {
        for run in on_commit {
            run();
        }
        self.commits.send_modify(|count| *count += 1);
    }

    fn close(self, answer: oneshot::Sender<Result<(), Error>>) {
        let Self { guarded, commits, .. } = self;
        // While another program writes, the last one that closes the file does it.
        let conn = guarded.conn();
        let truncate = |()| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let truncated = conn.busy_timeout(Duration::ZERO).and_then(truncate).map_err(from_sqlite);
        let closed = match Rc::try_unwrap(guarded) {
            Ok(guarded) => guarded.into_conn().close().map_err(|(_, error)| from_sqlite(error)),
            Err(_) => Err(Error::new(ErrorKind::Other, "connection is still in use")),
        };
        drop(commits);
        answer.send(truncated.and(closed)).ok();
    }
}
