//! A transaction that waits for the writer, and its requests.

use std::fmt;
use std::sync::mpsc::Receiver;

use messagekit::Error;
use tokio::sync::oneshot;

use super::batch::{Batch, OnCommit};
use super::session::{Ended, Session};

/// A request of a transaction's handle to the writer.
pub(crate) enum Call {
    Run(Box<dyn FnOnce(&Session) + Send>),
    Commit { on_commit: OnCommit, answer: oneshot::Sender<Result<(), Error>> },
    Rollback { answer: oneshot::Sender<()> },
}

/// A transaction that waits for the writer.
pub(crate) struct Turn {
    pub(crate) id: u64,
    pub(crate) calls: Receiver<Call>,
    pub(crate) ended: Ended,
    pub(crate) batch: Option<Box<dyn Batch>>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("id", &self.id).finish_non_exhaustive()
    }
}
