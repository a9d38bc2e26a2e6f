//! Waits for commits to this file, by any process.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit_topic_store::CommitWatch;
use tokio::sync::watch;

use crate::error::closed;
use crate::foreign_commits::FileWatch;
use crate::open_file::OpenFile;

/// Waits for this process's writer, and for the others.
pub(crate) struct SqliteCommits {
    own: watch::Receiver<u64>,
    foreign: watch::Receiver<u64>,
    file: Arc<OpenFile>,
    _watch: Arc<FileWatch>,
}

impl SqliteCommits {
    pub(crate) fn new(own: watch::Receiver<u64>, file: Arc<OpenFile>, watch: Arc<FileWatch>) -> Self {
        let mut commits = Self { own, foreign: watch.commits(), file, _watch: watch };
        commits.own.mark_unchanged();
        commits.foreign.mark_unchanged();
        commits
    }
}

impl CommitWatch for SqliteCommits {
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let (own, foreign) = (pin!(self.own.changed()), pin!(self.foreign.changed()));
            let (Either::Left((changed, _)) | Either::Right((changed, _))) = select(own, foreign).await;
            changed.map_err(|_| self.file.check().err().unwrap_or_else(closed))
        })
    }
}
