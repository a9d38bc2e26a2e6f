//! `messagekit dlq retry`, `discard` and `undo`.

use std::collections::BTreeSet;
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Pace,
};
use messagekit::{Error, ErrorKind, chain};
use serde_json::{Value, json};

use super::chosen::Chosen;
use crate::confirm::confirm;
use crate::database::Database;
use crate::input::number_of_a_message;
use crate::operator::operator;
use crate::output::{number, print, printable};

/// How many failed messages one transaction moves, and one page of a selection holds.
const CHUNK: usize = 500;

/// Failed messages by their numbers, or by a filter that is evaluated before the first action.
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

/// Failed messages that run once more, at once or one after the other.
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

/// The action of a selection, chunk by chunk.
#[derive(Clone, Copy)]
struct Request {
    act: Action,
    pace: Option<Pace>,
    began: Instant,
}

impl Request {
    fn new(act: Action, pace: Option<Pace>) -> Self {
        Self { act, pace, began: Instant::now() }
    }

    /// Sends one chunk; `accepted` were accepted before it.
    async fn send(
        self,
        failed_messages: &dyn FailedMessages,
        ids: &[i64],
        accepted: usize,
    ) -> Result<Vec<ActionResult>, Error> {
        match self.pace {
            None => failed_messages.act(self.act, ids, &operator()).await,
            Some(pace) => {
                let pace = pace.behind(accepted, self.began.elapsed());
                failed_messages.retry_at_pace(ids, pace, &operator()).await
            }
        }
    }
}

/// The result of an action on several failed messages.
#[derive(Default)]
struct Outcome {
    done: usize,
    refused: Vec<(i64, Error)>,
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
            self.selection(act, pace, filter, store.store()).await
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
    async fn named(
        &self,
        request: Request,
        failed_messages: &dyn FailedMessages,
    ) -> Result<(usize, Outcome), Error> {
        let mut seen = BTreeSet::new();
        let ids: Vec<i64> = self.ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut outcome = Outcome::default();
        let mut answers = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let act = request.act;
            for (id, result) in chunk.iter().zip(request.send(failed_messages, chunk, outcome.done).await?) {
                let text = match outcome.note(act, *id, result) {
                    None => accepted(act).to_owned(),
                    Some(error) => chain(error),
                };
                if self.json {
                    answers.push(json!({ "id": id, "accepted": result == ActionResult::Done, "text": text }));
                } else {
                    print(format_args!("{id}: {}", printable(&text)))?;
                }
            }
        }
        if self.json {
            print(json!({ "failed_messages": answers }))?;
        }
        Ok((ids.len(), outcome))
    }

    /// Runs the action on the selected failed messages. Their numbers are read once: later ones are not part of it.
    async fn selection(
        &self,
        act: Action,
        pace: Option<Pace>,
        filter: FailedMessageFilter,
        failed_messages: &dyn FailedMessages,
    ) -> Result<(usize, Outcome), Error> {
        let ids = frozen(filter, failed_messages).await?;
        let count = number(ids.len() as u64);
        let noun = if ids.len() == 1 { "failed message" } else { "failed messages" };
        let mut outcome = Outcome::default();
        if !ids.is_empty() {
            let order = match act {
                Action::Undo => ", behind later messages of their keys",
                Action::Retry | Action::Discard => "",
            };
            confirm(&format!("{act} {count} {noun}{order}"), self.yes)?;
            let bar = crate::progress::bar(ids.len() as u64);
            let worked =
                self.chunks(Request::new(act, pace), &ids, failed_messages, &bar, &mut outcome).await;
            bar.finish_and_clear();
            worked.map_err(|error| {
                let text = format!("{} of {count} done before this", number(outcome.done as u64));
                Error::new(error.kind(), text).caused_by(error)
            })?;
        }
        if self.json {
            let refused = |(id, error): &(i64, Error)| json!({ "id": id, "text": chain(error) });
            let refused: Vec<Value> = outcome.refused.iter().map(refused).collect();
            print(json!({ "selected": ids.len(), "done": outcome.done, "refused": refused }))?;
        } else if ids.is_empty() {
            print("no failed message is chosen: nothing was done")?;
        } else {
            for (id, error) in &outcome.refused {
                print(format_args!("{id}: {}", printable(&chain(error))))?;
            }
            let done = number(outcome.done as u64);
            print(format_args!("{done} of {count} {noun} {}", accepted_together(act)))?;
            if let (Some(pace), Some(last)) = (pace, outcome.done.checked_sub(1)) {
                print(format_args!("the last one is due {:#} from now", HumanDuration(pace.delay(last))))?;
            }
        }
        Ok((ids.len(), outcome))
    }

    async fn chunks(
        &self,
        request: Request,
        ids: &[i64],
        failed_messages: &dyn FailedMessages,
        bar: &ProgressBar,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        for chunk in ids.chunks(CHUNK) {
            let results = request.send(failed_messages, chunk, outcome.done).await?;
            for (id, result) in chunk.iter().zip(results) {
                outcome.note(request.act, *id, result);
            }
            bar.inc(chunk.len() as u64);
        }
        Ok(())
    }
}

impl Outcome {
    /// Records the result of one failed message, and returns why it was not moved.
    fn note(&mut self, act: Action, id: i64, result: ActionResult) -> Option<&Error> {
        match result.done(act, id) {
            Ok(()) => {
                self.done += 1;
                None
            }
            Err(error) => {
                self.refused.push((id, error));
                self.refused.last().map(|(_, error)| error)
            }
        }
    }
}

async fn frozen(
    mut filter: FailedMessageFilter,
    failed_messages: &dyn FailedMessages,
) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    loop {
        let page = failed_messages.ids(&filter, CHUNK as u32).await?;
        ids.extend_from_slice(&page);
        if page.len() < CHUNK {
            return Ok(ids);
        }
        filter.after = page.last().copied();
    }
}

/// Returns the filter of the failed messages that the action can move. Without a state, only dead ones are discarded:
/// those with a pending retry may still succeed.
fn movable(act: Action, mut filter: FailedMessageFilter) -> Result<FailedMessageFilter, Error> {
    let usual = if act == Action::Undo { FailedMessageState::Discarded } else { FailedMessageState::Dead };
    let state = *filter.state.get_or_insert(usual);
    match act.of(state) {
        Some(_) => Ok(filter),
        None => Err(misuse(&format!(
            "{act} does nothing with failed messages that are {state}: leave --state out"
        ))),
    }
}

fn accepted(act: Action) -> &'static str {
    match act {
        Action::Retry => "accepted, its consumer runs it once more",
        Action::Discard => "discarded, it is never applied; `undo` takes that back",
        Action::Undo => {
            "discard undone, `retry` runs it if it is dead; later messages of its key may have been applied meanwhile"
        }
    }
}

fn accepted_together(act: Action) -> &'static str {
    match act {
        Action::Retry => "accepted: their consumers run them once more",
        Action::Discard => "discarded: they are never applied; `undo` takes that back",
        Action::Undo => {
            "brought back: `retry` runs those that are dead; later messages of their keys may have been applied meanwhile"
        }
    }
}

fn misuse(text: &str) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, text.to_owned())
}
