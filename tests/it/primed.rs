//! The database of a projection: the file that is its log, too.

use std::path::PathBuf;

use messagekit_sqlite::rusqlite::Connection;
use messagekit_tests::Projection;

use crate::shop::Shop;

/// A file for a log and what a projection has taken from it.
pub(crate) struct Home {
    shop: Shop,
    topics: [&'static str; 2],
}

impl Home {
    pub(crate) fn of(topics: [&'static str; 2]) -> Self {
        Self { shop: Shop::new(), topics }
    }

    /// Returns the file of the log.
    pub(crate) fn log(&self) -> PathBuf {
        self.shop.file()
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
        self.number("SELECT count(*) FROM messagekit_consumer_primings WHERE is_finished") == 1
    }

    /// Removes the markers, as a cleanup does long after.
    pub(crate) fn forget_markers(&self) {
        let conn = Connection::open(self.log()).expect("the file is there");
        conn.execute("DELETE FROM messagekit_processed_messages", []).expect("markers can be removed");
    }

    fn arguments(&self) -> Vec<String> {
        let file = format!("sqlite:{}", self.shop.file().display());
        ["projection", &file, &file, self.topics[0], self.topics[1]].map(String::from).into()
    }

    /// Returns the numbers that it has taken, in its order.
    pub(crate) fn taken(&self) -> Vec<usize> {
        let rows =
            self.shop.look().all("SELECT number FROM projected ORDER BY id", |row| row.get::<_, i64>(0));
        rows.into_iter().map(|number| usize::try_from(number).expect("a number")).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.number("SELECT count(*) FROM projected")
    }

    /// Returns how many messages it has marked as done.
    pub(crate) fn markers(&self) -> usize {
        self.number("SELECT count(*) FROM messagekit_processed_messages WHERE outcome = 0")
    }

    fn number(&self, sql: &str) -> usize {
        usize::try_from(self.shop.look().number(sql)).expect("a count")
    }
}
