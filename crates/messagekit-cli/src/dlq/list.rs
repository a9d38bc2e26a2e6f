//! `messagekit dlq list`.

use messagekit::Error;
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessageTotal};
use serde_json::{Value, json};

use super::chosen::{Chosen, known_consumer};
use super::{json, state};
use crate::database::Database;
use crate::input::number_of_a_message;
use crate::output::{bytes, number, print, printable, table};

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

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let filter = self.chosen.filter();
        let state = filter.state.or((!self.all).then_some(FailedMessageState::Dead));
        let page = FailedMessageFilter { before: self.before, state, ..filter.clone() };
        let failed_messages = store.store().list(&page, self.limit).await?;
        let totals = store.store().totals(&filter).await?;
        if failed_messages.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
        }
        store.close().await?;
        let next = failed_messages
            .last()
            .filter(|_| failed_messages.len() == self.limit as usize)
            .map(|last| last.id);
        if self.json {
            let failed_messages: Vec<Value> = failed_messages.iter().map(json::head).collect();
            let totals: Vec<Value> = totals.iter().map(json::total).collect();
            return print(json!({ "failed_messages": failed_messages, "before": next, "totals": totals }));
        }
        if failed_messages.is_empty() {
            if state != filter.state && !totals.is_empty() {
                print("no dead letters")?;
                return print(in_words(&totals));
            }
            return print("no failed messages");
        }
        let mut rows = table(&[
            "id",
            "consumer",
            "state",
            "type",
            "key",
            "runs",
            "kind",
            "error",
            "set aside",
            "changed",
        ]);
        for failed_message in &failed_messages {
            rows.add_row([
                failed_message.id.to_string(),
                printable(&failed_message.consumer),
                state::in_words(failed_message),
                failed_message.event_type.as_deref().map(printable).unwrap_or_default(),
                failed_message.key.as_deref().map(bytes).unwrap_or_default(),
                failed_message.attempts.to_string(),
                printable(&failed_message.kind),
                printable(&failed_message.error),
                format!("{:.0}", failed_message.set_aside_at),
                format!("{:.0}", failed_message.changed_at),
            ]);
        }
        print(rows)?;
        print(in_words(&totals))?;
        match next {
            Some(id) => print(format_args!("more: --before {id}")),
            None => Ok(()),
        }
    }
}

/// `5 failed messages: 3 dead, 2 retry_scheduled`.
fn in_words(totals: &[FailedMessageTotal]) -> String {
    let count = |state| {
        let failed_messages = totals
            .iter()
            .filter(|total| total.state == state)
            .map(|total| total.failed_messages)
            .sum::<u64>();
        (failed_messages > 0).then(|| format!("{} {state}", number(failed_messages)))
    };
    let states: Vec<String> = FailedMessageState::ALL.into_iter().filter_map(count).collect();
    let all = totals.iter().map(|total| total.failed_messages).sum::<u64>();
    let failed_messages = if all == 1 { "failed message" } else { "failed messages" };
    format!("{} {failed_messages}: {}", number(all), states.join(", "))
}
