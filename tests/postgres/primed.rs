//! The database of a projection in PostgreSQL. Its log is a file, as PostgreSQL is no source of consumers with positions.

use std::cell::RefCell;
use std::path::PathBuf;

use messagekit_tests::{Database, Projection};
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A database for what a projection has taken, and a file for its log.
pub(crate) struct Home {
    folder: TempDir,
    runtime: Runtime,
    database: Database,
    connection: RefCell<PgConnection>,
    topics: [&'static str; 2],
}

impl Home {
    pub(crate) fn of(topics: [&'static str; 2]) -> Self {
        let runtime = Runtime::new().unwrap();
        let (database, connection) = runtime.block_on(async {
            let database = Database::fresh().await;
            let connection = database.connection().await;
            (database, RefCell::new(connection))
        });
        Self { folder: TempDir::new().unwrap(), runtime, database, connection, topics }
    }

    /// Returns the file of the log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    pub(crate) fn start(&self) -> Projection {
        Projection::start(&self.arguments())
    }

    /// Runs it until it has died at a crash point.
    pub(crate) fn crash_at(&self, point: &str) {
        Projection::crash_at(point, &self.arguments());
    }

    /// As [`crash_at`](Self::crash_at), for a priming by force.
    pub(crate) fn crash_forced_at(&self, point: &str) {
        let mut arguments = self.arguments();
        arguments.push("--force".to_owned());
        Projection::crash_at(point, &arguments);
    }

    /// Returns whether its priming is finished.
    pub(crate) fn is_primed(&self) -> bool {
        self.number("SELECT count(*) FROM messagekit.consumer_primings WHERE is_finished") == 1
    }

    /// Removes the markers, as a cleanup does long after.
    pub(crate) fn forget_markers(&self) {
        let delete = sqlx::query("DELETE FROM messagekit.processed_messages");
        self.runtime.block_on(delete.execute(&mut *self.connection.borrow_mut())).unwrap();
    }

    fn arguments(&self) -> Vec<String> {
        let log = format!("sqlite:{}", self.log().display());
        ["projection", self.database.url(), &log, self.topics[0], self.topics[1]].map(String::from).into()
    }

    /// Returns the numbers that it has taken, in its order.
    pub(crate) fn taken(&self) -> Vec<usize> {
        let mut connection = self.connection.borrow_mut();
        let rows = sqlx::query_scalar("SELECT number FROM public.projected ORDER BY id");
        let rows: Vec<i64> = self.runtime.block_on(rows.fetch_all(&mut *connection)).unwrap();
        rows.into_iter().map(|number| usize::try_from(number).unwrap()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.number("SELECT count(*) FROM public.projected")
    }

    /// Returns how many messages it has marked as done.
    pub(crate) fn markers(&self) -> usize {
        self.number("SELECT count(*) FROM messagekit.processed_messages WHERE outcome = 'done'")
    }

    fn number(&self, sql: &'static str) -> usize {
        let mut connection = self.connection.borrow_mut();
        let count = sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *connection);
        usize::try_from(self.runtime.block_on(count).unwrap()).unwrap()
    }
}
