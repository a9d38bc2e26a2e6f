//! Decides when to copy the log back into the file.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::busy;

/// The number of log pages from which each commit is followed by a passive checkpoint, which waits for no reader;
/// SQLite's own default.
const PASSIVE_PAGES: u32 = 1_000;
/// The number of pages from which the checkpoint waits for readers: otherwise overlapping short reads would let the log
/// grow without limit.
const RESTART_PAGES: u32 = 6_000;
/// How long a restart checkpoint waits for readers.
const RESTART_LIMIT: Duration = Duration::from_millis(100);

thread_local! {
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Runs checkpoints after a commit and after its results are sent, so that only the next writer waits for them.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// Raised when a reader outlasted a restart, so that not every commit waits for it.
    restart_at: u32,
}

impl Checkpoints {
    /// Replaces SQLite's automatic checkpoint on this thread's connection.
    pub(crate) fn install(conn: &Connection) -> Self {
        conn.wal_hook(Some(count));
        Self { restart_at: RESTART_PAGES }
    }

    pub(crate) fn after_commit(&mut self, conn: &Connection) {
        // 0: the commit wrote nothing, so the hook was not called.
        let pages = PAGES.take();
        if pages < PASSIVE_PAGES {
            if pages > 0 {
                self.restart_at = RESTART_PAGES;
            }
            return;
        }
        let restart = pages >= self.restart_at;
        let before = restart.then(|| busy::set_limit(RESTART_LIMIT));
        let sql = if restart { "PRAGMA wal_checkpoint(RESTART)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        let outcome = conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        if let Some(before) = before {
            busy::set_limit(before);
        }
        match outcome {
            Ok(0) if restart => self.restart_at = RESTART_PAGES,
            Ok(_) if restart => self.restart_at = pages + RESTART_PAGES,
            Ok(_) => {}
            // The log stays and the next commit retries; a disk failure fails that commit by itself.
            Err(error) => tracing::debug!(%error, pages, "checkpoint did not run"),
        }
    }
}

// rusqlite prescribes the signature.
#[expect(clippy::unnecessary_wraps)]
fn count(_wal: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(u32::try_from(pages).unwrap_or(0));
    Ok(())
}
