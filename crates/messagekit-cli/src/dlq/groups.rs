//! `messagekit dlq groups`.

use messagekit::Error;
use messagekit::operations::FailedMessageGroup;
use serde_json::{Value, json};

use super::chosen::{Chosen, known_consumer};
use crate::database::Database;
use crate::output::{number, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Groups {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let filter = self.chosen.filter();
        let groups = store.store().groups(&filter, self.limit).await?;
        if groups.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
        }
        store.close().await?;
        if self.json {
            let groups: Vec<Value> = groups.iter().map(json).collect();
            return print(json!({ "groups": groups }));
        }
        if groups.is_empty() {
            return print("no failed messages");
        }
        let mut rows = table(&[
            "failed messages",
            "consumer",
            "type",
            "kind",
            "error of the newest",
            "first",
            "last",
            "newest",
            "fingerprint",
        ]);
        for group in &groups {
            rows.add_row([
                number(group.failed_messages),
                printable(&group.consumer),
                group.event_type.as_deref().map(printable).unwrap_or_default(),
                printable(&group.kind),
                printable(&group.error),
                format!("{:.0}", group.first),
                format!("{:.0}", group.last),
                group.newest.to_string(),
                group.fingerprint.clone(),
            ]);
        }
        print(rows)
    }
}

fn json(group: &FailedMessageGroup) -> Value {
    json!({
        "fingerprint": group.fingerprint,
        "consumer": group.consumer,
        "event_type": group.event_type,
        "kind": group.kind,
        "error": group.error,
        "failed_messages": group.failed_messages,
        "first": group.first.to_string(),
        "last": group.last.to_string(),
        "newest": group.newest,
    })
}
