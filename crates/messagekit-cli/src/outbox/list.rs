//! `messagekit outbox rejected list`.

use messagekit::Error;

use crate::database::Database;
use crate::databases::documents;
use crate::output::{number, print, printable, table};
use crate::page::{cut, one_more};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    /// Also list the events that wait for rejected ones
    #[arg(long)]
    waiting: bool,
    /// Only those after this number: the last one of the previous page
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    after: i64,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let mut events = store.rejected()?.rejected(self.after, one_more(self.limit), self.waiting).await?;
        store.close().await?;
        let next = cut(&mut events, self.limit, |last| last.id);
        if self.json {
            return print(documents(&self.database)?.rejected_events(events, next));
        }
        if events.is_empty() {
            return print("no rejected events");
        }
        let mut rows = table(&[
            "id",
            "topic",
            "type",
            "key",
            "event",
            "bytes",
            "attempts",
            "error",
            "behind",
            "set aside",
        ]);
        for event in &events {
            let text = |text: &Option<String>| printable(text.as_deref().unwrap_or(""));
            rows.add_row([
                event.id.to_string(),
                printable(&event.topic),
                text(&event.event_type),
                text(&event.key),
                printable(event.event_id.as_str()),
                number(event.payload_bytes),
                event.attempts.to_string(),
                event.error.as_deref().map_or_else(|| "waits for the one before".to_owned(), printable),
                number(event.behind),
                event.rejected_at.to_string(),
            ]);
        }
        print(rows)?;
        match next {
            Some(id) => print(format_args!("more: --after {id}")),
            None => Ok(()),
        }
    }
}
