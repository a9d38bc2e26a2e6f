//! A reader that threads share.

use std::time::Duration;

use futures_util::future::{BoxFuture, poll_immediate};
use messagekit::log::OrderedReader;
use messagekit::{Error, ErrorKind};
use messagekit_arrow::{Columns, RecordBatch, batch};
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{Instant, timeout_at};

/// What is open: the reader, and what is closed behind it.
pub(super) struct Open {
    reader: OrderedReader,
    close: Option<BoxFuture<'static, Result<(), Error>>>,
    /// A batch that could not be returned.
    returned: Option<RecordBatch>,
}

impl Open {
    pub(super) fn of(reader: OrderedReader) -> Self {
        Self { reader, close: None, returned: None }
    }

    /// Closes what is read, once the reader is gone.
    #[cfg(feature = "file")]
    pub(super) fn and_then_close(
        self,
        close: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Self {
        Self { close: Some(Box::pin(close)), ..self }
    }
}

/// One thread at a time has the reader. One that waits for records lets others have it meanwhile.
pub(super) struct Shared {
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
    /// Another thread waits for it.
    wanted: Notify,
}

impl Shared {
    pub(super) fn new(open: Open) -> Self {
        Self { open: Mutex::new(Some(open)), wanted: Notify::new() }
    }

    /// Returns the next records, at most a batch, and none if none can be released within the time.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; those of [`OrderedReader::poll`] and of [`batch`].
    ///
    /// # Cancel safety
    /// Safe, as that of the reader.
    pub(super) async fn poll(&self, timeout: Duration, columns: Columns) -> Result<RecordBatch, Error> {
        const LONGEST: Duration = Duration::from_secs(1 << 30);
        let deadline = Instant::now() + timeout.min(LONGEST);
        let mut held = self.take().await;
        loop {
            let open = held.as_mut().ok_or_else(closed)?;
            if let Some(returned) = open.returned.take() {
                return Ok(returned);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                read = open.reader.poll(left) => return batch(&read?, columns),
                () = self.wanted.notified() => {}
            }
            // The thread that waits for it is in the queue already.
            drop(held);
            match timeout_at(deadline, self.open.lock()).await {
                Ok(again) => held = again,
                Err(_) => return batch(&[], columns),
            }
        }
    }

    /// Keeps a batch for the next poll.
    pub(super) async fn give_back(&self, batch: RecordBatch) {
        if let Some(open) = self.take().await.as_mut().filter(|_| batch.num_rows() > 0) {
            open.returned = Some(batch);
        }
    }

    /// Returns whether all of the past was returned.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub(super) async fn is_live(&self) -> Result<bool, Error> {
        let held = self.take().await;
        let open = held.as_ref().ok_or_else(closed)?;
        Ok(open.returned.is_none() && open.reader.is_live())
    }

    /// Returns the number of records that were read and not returned.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub(super) async fn held(&self) -> Result<usize, Error> {
        let held = self.take().await;
        let open = held.as_ref().ok_or_else(closed)?;
        Ok(open.returned.as_ref().map_or(0, RecordBatch::num_rows) + open.reader.held_message_count())
    }

    /// Asks the reader.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub(super) async fn ask<T>(&self, question: impl FnOnce(&mut OrderedReader) -> T) -> Result<T, Error> {
        self.take().await.as_mut().map(|open| question(&mut open.reader)).ok_or_else(closed)
    }

    /// Ends reading; a thread that waits for records learns it at once.
    ///
    /// # Errors
    /// Those of closing a file.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let Some(Open { reader, close, .. }) = self.take().await.take() else { return Ok(()) };
        drop(reader);
        match close {
            Some(close) => close.await,
            None => Ok(()),
        }
    }

    /// Waits for the reader, and asks the one that waits for records to let go.
    async fn take(&self) -> MutexGuard<'_, Option<Open>> {
        let mut turn = std::pin::pin!(self.open.lock());
        // This one is in the queue before the other one looks.
        if let Some(held) = poll_immediate(turn.as_mut()).await {
            return held;
        }
        self.wanted.notify_one();
        turn.await
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "reader is closed")
}
