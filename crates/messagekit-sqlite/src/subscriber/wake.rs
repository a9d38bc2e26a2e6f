//! Waiting on the reader thread: for a write, for news of the file, or for an order.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::error::from_sqlite;

/// How often other processes are looked for while something happens, and while nothing does.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(50);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Waits for a future that needs no runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Notices that somebody has committed.
#[derive(Debug)]
pub(super) struct News {
    commits: watch::Receiver<u64>,
    /// Of the connection that looks, the last time it looked.
    version: Option<i64>,
    interval: Duration,
}

impl News {
    pub(super) fn new(commits: watch::Receiver<u64>) -> Self {
        Self { commits, version: None, interval: BUSY }
    }

    /// Errs when the store was closed: nothing can come any more, and no connection may stay open.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        self.commits.has_changed().map(drop).map_err(|_| closed())
    }

    /// Waits until something was committed since the last call, or `stop` holds; whoever changes that unparks the thread.
    ///
    /// Commits of this process are told; those of others change a number of the file that costs 2 µs to read.
    pub(super) fn wait(&mut self, conn: &Connection, stop: impl Fn() -> bool) -> Result<(), Error> {
        let waker = waker();
        let mut cx = Context::from_waker(&waker);
        let mut told = pin!(self.commits.changed());
        while !stop() {
            let told = match told.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Err(closed()),
                Poll::Pending => false,
            };
            let version = data_version(conn).map_err(from_sqlite)?;
            if self.version.replace(version) != Some(version) || told {
                self.interval = BUSY;
                return Ok(());
            }
            thread::park_timeout(self.interval);
            self.interval = (self.interval * 5 / 4).min(IDLE);
        }
        Ok(())
    }
}

/// Returns a number that another connection's commit changes.
fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "store was closed")
}
