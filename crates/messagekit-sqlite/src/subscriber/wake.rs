//! Waits on the reader thread: for a write, for changes of the file, or for a request.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use messagekit::Error;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::error::closed;
use crate::look::{Interval, data_version};
use crate::open_file::OpenFile;

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

/// Detects commits of any process.
#[derive(Debug)]
pub(super) struct News {
    commits: watch::Receiver<u64>,
    file: Arc<OpenFile>,
    /// The data version of the checking connection at its last check.
    version: Option<i64>,
    interval: Interval,
}

impl News {
    pub(super) fn new(commits: watch::Receiver<u64>, file: Arc<OpenFile>) -> Self {
        Self { commits, file, version: None, interval: Interval::new() }
    }

    /// Fails when the store was closed: no record can follow, and no connection may stay open.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        self.commits.has_changed().map(drop).map_err(|_| closed())
    }

    /// Waits until a commit since the last call, or until `stop` holds; the code that changes `stop` unparks the thread.
    ///
    /// Commits of this process send a signal. Commits of others change a number of the file that costs 2 µs to read.
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
            self.file.check()?;
            let version = data_version(conn)?;
            if self.version.replace(version) != Some(version) || told {
                self.interval.looked(true);
                return Ok(());
            }
            thread::park_timeout(self.interval.get());
            self.interval.looked(false);
        }
        Ok(())
    }
}
