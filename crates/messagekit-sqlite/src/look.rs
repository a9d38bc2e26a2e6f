//! Looks at a file for commits of other processes.

use std::time::Duration;

use messagekit::Error;
use rusqlite::Connection;

use crate::error::from_sqlite;

/// The time between two looks: while commits come, and while the file is idle.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(50);

/// The time until the next look, which grows while nothing is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval(Duration);

impl Interval {
    pub(crate) fn new() -> Self {
        Self(BUSY)
    }

    pub(crate) fn get(self) -> Duration {
        self.0
    }

    /// Follows a look that has found something, or nothing.
    pub(crate) fn looked(&mut self, has_changed: bool) {
        self.0 = if has_changed { BUSY } else { (self.0 * 5 / 4).min(IDLE) };
    }
}

/// Returns a number that another connection's commit changes. It costs 2 µs.
pub(crate) fn data_version(conn: &Connection) -> Result<i64, Error> {
    conn.prepare_cached("PRAGMA data_version")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(from_sqlite)
}
