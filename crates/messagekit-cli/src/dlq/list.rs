//! `messagekit dlq list`.

use comfy_table::{ColumnConstraint, Table};
use messagekit::Error;
use messagekit::operations::{
    FailedMessageFilter, FailedMessageHead, FailedMessageState as State, FailedMessageTotal,
};
use messagekit_admin as admin;
use messagekit_admin::InDatabase;
use serde::Serialize;

use super::chosen::{Chosen, NO_FAILED_MESSAGES, empty_answer, known_consumer};
use super::state;
use super::totals::in_words;
use crate::database::Database;
use crate::databases::name_of;
use crate::input::number_of_a_message;
use crate::output::{bytes, print, print_json, printable, table};
use crate::page::{Page, cut, one_more, print_more};

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
    #[command(flatten)]
    page: Page,
}

/// The document: the page, and the number of all that the options choose.
#[derive(Serialize)]
struct WithTotals {
    #[serde(flatten)]
    list: admin::List<FailedMessageHead>,
    totals: Vec<InDatabase<FailedMessageTotal>>,
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
    ("kind", true),
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
        let mut failed_messages = store.store().list(&page, one_more(self.page.limit)).await?;
        let totals = store.store().totals(&filter).await?;
        if failed_messages.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
        }
        let is_asked = totals.is_empty() && !self.page.json;
        let empty = if is_asked {
            empty_answer(store.store(), &filter).await?
        } else {
            NO_FAILED_MESSAGES.to_owned()
        };
        store.close().await?;
        let next = cut(&mut failed_messages, self.page.limit, |last| last.id);
        if self.page.json {
            let name = name_of(&self.database)?;
            let totals = admin::List::of(&name, totals, None).entries;
            return print_json(&WithTotals { list: admin::List::of(&name, failed_messages, next), totals });
        }
        let waits = |state: State| state.is_open() && state != State::Dead;
        let has_others = only_dead && totals.iter().any(|total| waits(total.state));
        let others = if has_others { "; --state open lists those that are not dead, too" } else { "" };
        if failed_messages.is_empty() {
            if only_dead && !totals.is_empty() {
                print("no dead letters")?;
                return print(format_args!("{}{others}", in_words(&totals)));
            }
            return print(empty);
        }
        let width = table(&[]).width();
        print(drawn(&failed_messages, width))?;
        print(format_args!("{}{others}", in_words(&totals)))?;
        if is_narrow(width) {
            print(format_args!("on {WIDE} columns the table has also {}", left_out().join(", ")))?;
        }
        print_more("--before", next)
    }
}

/// Returns whether a terminal has no room for all columns; what is no terminal has room.
fn is_narrow(width: Option<u16>) -> bool {
    width.is_some_and(|width| width < WIDE)
}

/// Returns the columns that a narrow table does not have.
fn left_out() -> Vec<&'static str> {
    COLUMNS.iter().filter(|(_, always)| !always).map(|(name, _)| *name).collect()
}

/// Returns the table, with the columns for which there is room.
fn drawn(failed_messages: &[FailedMessageHead], width: Option<u16>) -> Table {
    let mut rows = table(&COLUMNS.map(|(name, _)| name));
    rows.add_rows(failed_messages.iter().map(row));
    let optional = rows.column_iter_mut().zip(COLUMNS).filter(|(_, (_, always))| !always);
    for (column, _) in optional.filter(|_| is_narrow(width)) {
        column.set_constraint(ColumnConstraint::Hidden);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_others_get_all() {
        let header = |width| {
            let drawn = drawn(&[], width).to_string();
            let names = drawn.lines().nth(1).expect("a header").trim_matches('│').split('┆');
            names.map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(header(Some(80)), ["id", "consumer", "state", "type", "key", "kind", "error"]);
        assert_eq!((header(Some(WIDE)).len(), header(None).len()), (11, 11));
        assert_eq!(left_out(), ["due", "runs", "set aside", "changed"]);
    }
}
