//! `messagekit dlq retry`, `discard` and `undo`.

use std::collections::BTreeSet;

use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, Operations, Pace,
};
use messagekit::{Error, ErrorKind, chain};
use serde_json::json;

use super::chosen::Chosen;
use super::request::{CHUNK, Outcome, Request};
use super::runners;
use super::selected::Selected;
use crate::database::Database;
use crate::input::number_of_a_message;
use crate::output::{number, print, printable};

/// Failed messages by their numbers, or by a filter: those that it selects before the first action, as they are then.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    database: Database,
    /// The failed messages' numbers; without numbers, options select them
    #[arg(value_parser = number_of_a_message)]
    ids: Vec<i64>,
    #[command(flatten)]
    chosen: Chosen,
    /// Every failed message that the action can move
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Skip the confirmation of a selection
    #[arg(long)]
    yes: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

/// Failed messages that run now, at once or one after the other.
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    selection: Selection,
    /// At most this many become due per second [default: all at once]
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=i64::from(Pace::MAX)))]
    per_second: Option<u32>,
}

impl Retry {
    pub(super) async fn run(self) -> Result<(), Error> {
        let pace = self.per_second.map(Pace::per_second).transpose()?;
        self.selection.run_at_pace(Action::Retry, pace).await
    }
}

impl Selection {
    pub(super) async fn run(self, act: Action) -> Result<(), Error> {
        self.run_at_pace(act, None).await
    }

    async fn run_at_pace(self, act: Action, pace: Option<Pace>) -> Result<(), Error> {
        let filter = self.chosen.clone().filter();
        let chosen = filter != FailedMessageFilter::default();
        match (self.ids.is_empty(), chosen || self.all) {
            (true, false) => {
                return Err(misuse(
                    "name failed messages by their numbers, choose them with options, or write --all",
                ));
            }
            (false, true) => {
                return Err(misuse("numbers and options that choose failed messages exclude each other"));
            }
            _ => {}
        }
        let filter = movable(act, filter)?;
        let store = self.database.open().await?;
        let outcome = if self.ids.is_empty() {
            let selected = Selected { action: act, pace, yes: self.yes, json: self.json };
            selected.run(filter, store.store()).await
        } else {
            self.named(Request::new(act, pace), store.store()).await
        };
        store.close().await?;
        let (asked, outcome) = outcome?;
        match outcome.refused.len() {
            0 => Ok(()),
            refused => {
                let text = format!("{} of {} not accepted", number(refused as u64), number(asked as u64));
                Err(Error::new(ErrorKind::WrongState, text))
            }
        }
    }

    /// Runs the action on the given failed messages, and reports each result.
    async fn named(&self, request: Request, store: &dyn Operations) -> Result<(usize, Outcome), Error> {
        let act = request.act;
        let mut seen = BTreeSet::new();
        let ids: Vec<i64> = self.ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut outcome = Outcome::default();
        let (mut answers, mut retried) = (Vec::new(), Vec::new());
        for chunk in ids.chunks(CHUNK) {
            for (id, result) in chunk.iter().zip(request.send(store, chunk, outcome.done).await?) {
                outcome.note(*id, result);
                if (act, result) == (Action::Retry, ActionResult::Done) {
                    retried.push(*id);
                }
                let text = match result.done(act, *id) {
                    Ok(()) => accepted(act).to_owned(),
                    Err(error) => chain(&error),
                };
                if self.json {
                    answers.push(json!({ "id": id, "accepted": result == ActionResult::Done, "text": text }));
                } else {
                    print(format_args!("{id}: {}", printable(&text)))?;
                }
            }
        }
        let runners = runners::of(store, &runners::consumers(store, &retried).await).await;
        if self.json {
            let mut document = json!({ "failed_messages": answers });
            if act == Action::Retry {
                runners::add_to(&mut document, runners);
            }
            print(document)?;
        } else {
            runners::report(&runners)?;
        }
        Ok((ids.len(), outcome))
    }
}

/// Returns the filter of the failed messages that the action can move. Without a state, only dead ones are discarded:
/// those with a pending retry may still succeed.
fn movable(act: Action, mut filter: FailedMessageFilter) -> Result<FailedMessageFilter, Error> {
    if !filter.is_open {
        let usual =
            if act == Action::Undo { FailedMessageState::Discarded } else { FailedMessageState::Dead };
        filter.state.get_or_insert(usual);
    }
    let mut states = FailedMessageState::ALL.into_iter().filter(|state| filter.has_state(*state));
    match states.find(|state| act.of(*state).is_none()) {
        None => Ok(filter),
        Some(state) => Err(misuse(&format!(
            "{act} does nothing with failed messages that are {state}: leave --state out"
        ))),
    }
}

fn accepted(act: Action) -> &'static str {
    match act {
        Action::Retry => "accepted, its consumer runs it",
        Action::Discard => "discarded, it is never applied; `undo` takes that back",
        Action::Undo => {
            "discard undone, `retry` runs it if it is dead; later messages of its key may have been applied meanwhile"
        }
    }
}

fn misuse(text: &str) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, text.to_owned())
}
