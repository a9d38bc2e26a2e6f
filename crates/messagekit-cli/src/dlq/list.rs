//! `messagekit dlq list`.

use messagekit::{Error, LetterFilter, LetterState, LetterTotal};
use serde_json::{Value, json};

use super::chosen::Chosen;
use super::{json, state};
use crate::database::Database;
use crate::output::{bytes, number, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Only those before this number: the last one of the page before
    #[arg(long, value_name = "ID")]
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
        let page = LetterFilter { before: self.before, ..filter.clone() };
        let letters = store.letters().list(&page, self.limit).await?;
        let totals = store.letters().totals(&filter).await?;
        store.close().await?;
        let next = letters.last().filter(|_| letters.len() == self.limit as usize).map(|last| last.id);
        if self.json {
            let letters: Vec<Value> = letters.iter().map(json::head).collect();
            let totals: Vec<Value> = totals.iter().map(json::total).collect();
            return print(json!({ "letters": letters, "before": next, "totals": totals }));
        }
        if letters.is_empty() {
            return print("no dead letters");
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
        for letter in &letters {
            rows.add_row([
                letter.id.to_string(),
                printable(&letter.consumer),
                state::in_words(letter),
                letter.event_type.as_deref().map(printable).unwrap_or_default(),
                letter.key.as_deref().map(bytes).unwrap_or_default(),
                letter.attempts.to_string(),
                printable(&letter.kind),
                printable(&letter.error),
                format!("{:.0}", letter.set_aside_at),
                format!("{:.0}", letter.changed_at),
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

/// `5 letters: 3 dead, 2 retrying`.
fn in_words(totals: &[LetterTotal]) -> String {
    let count = |state| {
        let letters =
            totals.iter().filter(|total| total.state == state).map(|total| total.letters).sum::<u64>();
        (letters > 0).then(|| format!("{} {state}", number(letters)))
    };
    let states: Vec<String> = LetterState::ALL.into_iter().filter_map(count).collect();
    let all = totals.iter().map(|total| total.letters).sum::<u64>();
    let letters = if all == 1 { "letter" } else { "letters" };
    format!("{} {letters}: {}", number(all), states.join(", "))
}
