//! State that the handles and transactions of one file share.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use messagekit::adapter::Wake;
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::ClaimTurns;

use crate::binding::Bindings;
use crate::claim_holder::FileHolder;
use crate::error::closed;
use crate::foreign_commits::ForeignCommits;
use crate::holder::{Holders, would_deadlock};
use crate::open_file::OpenFile;
use crate::reader::Readers;
use crate::temporary_folder::TemporaryFolder;
use crate::writer::{Request, WriterHandle};

/// An open file.
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<OpenFile>,
    pub(crate) partitions: NonZeroU32,
    pub(crate) transaction_timeout: Duration,
    pub(crate) writer: WriterHandle,
    pub(crate) readers: Readers,
    pub(crate) closed: AtomicBool,
    pub(crate) holders: Holders,
    pub(crate) bindings: Bindings,
    pub(crate) claim_holder: FileHolder,
    pub(crate) claim_turns: ClaimTurns,
    pub(crate) foreign: ForeignCommits,
    /// Wakes the relays of this process.
    pub(crate) news: Wake,
    /// The folder of a temporary file, which is removed with the last handle.
    pub(crate) _folder: Option<TemporaryFolder>,
}

impl Shared {
    pub(crate) fn next_id(&self) -> u64 {
        // Unique in the process: handlers on one writer thread may hold transactions of another file.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// Fails on the writer thread itself: it is running a handler and can serve no other call.
    pub(crate) fn check_thread(&self) -> Result<(), Error> {
        if self.writer.thread.id() == thread::current().id() {
            return Err(would_deadlock("this handler runs inside a transaction on the same file"));
        }
        Ok(())
    }

    pub(crate) fn check_write(&self) -> Result<(), Error> {
        self.check_open()?;
        self.check_thread()?;
        self.holders.check()
    }

    pub(crate) fn request(&self, request: Request) -> Result<(), Error> {
        self.writer.requests.send(request).map_err(|_| self.gone())
    }

    pub(crate) fn wake_writer(&self) {
        self.writer.thread.unpark();
    }

    /// Returns the reason why the writer did not answer.
    pub(crate) fn gone(&self) -> Error {
        if self.is_closed() {
            return closed();
        }
        Error::new(ErrorKind::OutcomeUnknown, "writer thread has died")
    }
}
