//! `messagekit cleanup`.

use std::time::Duration;

use messagekit::cleanup::{CleanupReport, Retention, clean};
use messagekit::{Error, Shutdown};
use serde_json::{Value, json};

use crate::database::{Database, Operations};
use crate::input::span;
use crate::output::{number, print, table};

/// Delete expired rows in small batches: published events, markers older than their consumer's dedup window, resolved
/// failed messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Cleanup {
    #[command(flatten)]
    database: Database,
    /// Keep published events this long: a replay can publish them until then
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = span)]
    keep_events: Duration,
    /// Keep resolved and discarded failed messages this long
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span)]
    keep_failed_messages: Duration,
    /// Only count the rows to delete
    #[arg(long)]
    dry_run: bool,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Cleanup {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let database = self.database.open().await?;
        let outcome = self.clean(&database).await;
        database.close().await?;
        self.show(&outcome?)
    }

    async fn clean(&self, database: &Operations) -> Result<Vec<CleanupReport>, Error> {
        let retention = Retention { events: self.keep_events, failed_messages: self.keep_failed_messages };
        clean(database.store(), &retention, self.dry_run, Shutdown::on_signal()?).await
    }

    fn show(&self, cleaned: &[CleanupReport]) -> Result<(), Error> {
        if self.json {
            let kinds = cleaned.iter().map(|cleaned| {
                json!({ "what": cleaned.what.as_str(), "removed": cleaned.removed, "days": cleaned.days, "kept_because": cleaned.kept_because })
            });
            return print(json!({ "dry_run": self.dry_run, "cleaned": kinds.collect::<Value>() }));
        }
        let removed = if self.dry_run { "would be removed" } else { "removed" };
        let mut rows = table(&["", removed, "whole days", "kept because"]);
        for CleanupReport { what, removed, days, kept_because } in cleaned {
            let reason = kept_because.clone().unwrap_or_default();
            rows.add_row([what.to_string(), number(*removed), number(*days), reason]);
        }
        print(rows)
    }
}
