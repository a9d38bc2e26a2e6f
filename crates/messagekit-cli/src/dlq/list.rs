//! `messagekit dlq list`.

use comfy_table::Table;
use messagekit::Error;
use messagekit::operations::{FailedMessageFilter, FailedMessageHead, FailedMessageState as State};

use super::chosen::{Chosen, known_consumer, nothing};
use super::state;
use super::totals::in_words;
use crate::database::Database;
use crate::databases::documents;
use crate::input::number_of_a_message;
use crate::output::{bytes, print, printable, table};
use crate::page::{cut, one_more};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Those in every state [default: only dead ones]
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// Only those before this number: the last one of the page before
    #[arg(long, value_name = "ID", value_parser = number_of_a_message)]
    before: Option<i64>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// The columns, and whether a terminal of few columns has them too: there the others would leave a few characters to each.
const COLUMNS: [(&str, bool); 11] = [
    ("id", true),
    ("consumer", true),
    ("state", true),
    ("type", true),
    ("key", true),
    ("due", false),
    ("runs", false),
    ("kind", false),
    ("error", true),
    ("set aside", false),
    ("changed", false),
];

/// The width from which a terminal has room for all.
const WIDE: u16 = 160;

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let only_dead = !self.all && !self.chosen.has_state();
        let filter = self.chosen.filter();
        let state = if only_dead { Some(State::Dead) } else { filter.state };
        let page = FailedMessageFilter { before: self.before, state, ..filter.clone() };
        let mut failed_messages = store.store().list(&page, one_more(self.limit)).await?;
        let totals = store.store().totals(&filter).await?;
        let mut empty = String::new();
        if failed_messages.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
            empty = nothing(store.store(), &filter).await?;
        }
        store.close().await?;
        let next = cut(&mut failed_messages, self.limit, |last| last.id);
        if self.json {
            let documents = documents(&self.database)?;
            let mut page = documents.failed_messages(failed_messages, next);
            page["totals"] = documents.failed_message_totals(totals)["totals"].take();
            return print(page);
        }
        if failed_messages.is_empty() {
            if only_dead && !totals.is_empty() {
                print("no dead letters")?;
                return print(in_words(&totals));
            }
            return print(empty);
        }
        print(drawn(&failed_messages))?;
        print(in_words(&totals))?;
        let is_open = |state| matches!(state, State::RetryScheduled | State::RetryRequested | State::Blocked);
        if only_dead && totals.iter().any(|total| is_open(total.state)) {
            print("--state open lists those that are not dead, too")?;
        }
        match next {
            Some(id) => print(format_args!("more: --before {id}")),
            None => Ok(()),
        }
    }
}

/// Returns the table, with the columns for which the terminal has room.
fn drawn(failed_messages: &[FailedMessageHead]) -> Table {
    let is_narrow = table(&[]).width().is_some_and(|width| width < WIDE);
    let is_shown = |column: usize| !is_narrow || COLUMNS[column].1;
    let header: Vec<&str> =
        (0..COLUMNS.len()).filter(|column| is_shown(*column)).map(|column| COLUMNS[column].0).collect();
    let mut rows = table(&header);
    for failed_message in failed_messages {
        let row = row(failed_message).into_iter().enumerate();
        rows.add_row(row.filter(|(column, _)| is_shown(*column)).map(|(_, text)| text));
    }
    rows
}

fn row(failed_message: &FailedMessageHead) -> [String; COLUMNS.len()] {
    [
        failed_message.id.to_string(),
        printable(&failed_message.consumer),
        state::in_words(failed_message),
        failed_message.event_type.as_deref().map(printable).unwrap_or_default(),
        failed_message.key.as_deref().map(bytes).unwrap_or_default(),
        failed_message.due.map(|due| format!("{due:.0}")).unwrap_or_default(),
        failed_message.attempts.to_string(),
        printable(&failed_message.kind),
        printable(&failed_message.error),
        format!("{:.0}", failed_message.set_aside_at),
        format!("{:.0}", failed_message.changed_at),
    ]
}
