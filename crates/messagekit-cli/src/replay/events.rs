//! `messagekit replay events`.

use messagekit::Error;
use messagekit::operations::{EventCursor, EventHead};
use messagekit_admin::documents::StoredEvents;

use super::chosen::Chosen;
use super::cursor::{cursor, text};
use crate::database::Database;
use crate::databases::name_of;
use crate::output::{bytes, cell, print_json, printable, table};
use crate::page::{Page, cut, one_more, print_more, print_table};

#[derive(Debug, clap::Args)]
pub(super) struct Events {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Only those after this cursor: the last line of the previous page
    #[arg(long, value_name = "PLACE", value_parser = cursor)]
    after: Option<EventCursor>,
    #[command(flatten)]
    page: Page,
}

impl Events {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let filter = self.chosen.filter();
        let mut events =
            store.store().events(&filter, self.after.as_ref(), one_more(self.page.limit)).await?;
        store.close().await?;
        let next = cut(&mut events, self.page.limit, EventHead::cursor);
        if self.page.json {
            return print_json(&StoredEvents::of(&name_of(&self.database)?, events, next.as_ref()));
        }
        let mut rows = table(&["written", "event", "type", "topic", "key", "copies", "bytes"]);
        for event in &events {
            rows.add_row([
                format!("{:.3}", event.created_at),
                printable(event.event_id.as_str()),
                cell(&event.event_type),
                printable(&event.topic),
                event.key.as_deref().map(bytes).unwrap_or_default(),
                event.copies.to_string(),
                event.payload_bytes.to_string(),
            ]);
        }
        print_table(&rows, "no events")?;
        print_more("--after", next.map(|position| printable(&text(&position))))
    }
}
