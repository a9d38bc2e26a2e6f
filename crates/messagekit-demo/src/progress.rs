//! The progress of the run: read from the tables periodically, and shown on standard error.

use std::fmt::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use messagekit::Error;
use messagekit_sqlite::SqliteStore;

use crate::text::count;

/// The state of the tables during the run. The verdict never uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Orders that were committed.
    pub(crate) written: i64,
    /// Records in the topic.
    pub(crate) records: i64,
    /// Records that the consumer has finished.
    pub(crate) handled: i64,
    /// Failed messages that the consumer will retry.
    pub(crate) open_failed_messages: i64,
    /// Failed messages that it retries now.
    pub(crate) running_failed_messages: i64,
    /// Starts of the billing service.
    pub(crate) starts: i64,
}

/// Reads the tables; cheap enough for frequent calls.
pub(crate) async fn look(store: &SqliteStore) -> Result<Look, Error> {
    let look = store.read(|c| {
        c.prepare_cached(
            "SELECT (SELECT coalesce(max(seq), 0) FROM orders),
                    (SELECT coalesce(sum(next_offset), 0) FROM messagekit_topic_partitions),
                    (SELECT coalesce(sum(next), 0) FROM messagekit_consumer_cursors),
                    (SELECT count(*) FROM messagekit_failed_messages WHERE state IN ('retry_scheduled', 'retry_requested')),
                    (SELECT count(*) FROM messagekit_failed_messages WHERE running_since IS NOT NULL),
                    (SELECT coalesce(max(run), 0) FROM billing_runs)",
        )?
        .query_row([], |row| {
            Ok(Look {
                written: row.get(0)?,
                records: row.get(1)?,
                handled: row.get(2)?,
                open_failed_messages: row.get(3)?,
                running_failed_messages: row.get(4)?,
                starts: row.get(5)?,
            })
        })
    });
    Ok(look.await?)
}

/// Three bars; without a terminal nothing is drawn.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    written: ProgressBar,
    handled: ProgressBar,
    kills: ProgressBar,
}

impl Bars {
    pub(crate) fn new(orders: u64, records: u64, kills: u64) -> Self {
        let all = MultiProgress::new();
        let bar = |length: u64, name: &'static str, rest: &str| {
            let template = format!("{{prefix:>8}} {{bar:30}} {{human_pos:>9}} of {{human_len:<9}} {rest}");
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let style = style.with_key("speed", |state: &ProgressState, to: &mut dyn Write| {
                // A failure to show the speed must not stop the run.
                let _ = write!(to, "{} per second", count(state.per_sec() as u64));
            });
            all.add(ProgressBar::new(length).with_style(style.progress_chars("━╸ ")).with_prefix(name))
        };
        Self {
            written: bar(orders, "written", "{speed}"),
            handled: bar(records, "handled", "{speed}"),
            kills: bar(kills, "kills", "{msg}"),
            all,
        }
    }

    pub(crate) fn show(&self, look: &Look, kills: u64) {
        self.written.set_position(look.written.unsigned_abs());
        self.handled.set_position(look.handled.unsigned_abs());
        self.kills.set_position(kills);
    }

    /// Shows the work that the last kill left unfinished.
    pub(crate) fn killed(&self, unfinished: i64) {
        self.kills.set_message(format!("left {} undone", count(unfinished)));
    }

    /// Removes the bars from the screen.
    pub(crate) fn clear(&self) {
        // A closed terminal has nothing to clear.
        let _ = self.all.clear();
    }
}
