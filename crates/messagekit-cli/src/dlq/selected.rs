//! Actions on the failed messages that options select.

use std::collections::BTreeSet;

use indicatif::{HumanDuration, ProgressBar};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageSelection, FailedMessages, Operations, Pace,
    RetryRunner,
};
use messagekit::{Error, chain};
use serde_json::{Value, json};

use super::request::{CHUNK, Outcome, Request};
use super::runners;
use crate::confirm::confirm;
use crate::output::{number, print, printable};

/// An action on a selection. Numbers and versions are read once, before the confirmation: later failed messages are not
/// part of it, and those that change meanwhile are skipped.
pub(super) struct Selected {
    pub(super) action: Action,
    pub(super) pace: Option<Pace>,
    /// Whether the confirmation is skipped.
    pub(super) yes: bool,
    /// Whether the result is one JSON document.
    pub(super) json: bool,
}

impl Selected {
    /// Runs the action after a confirmation, and reports its result. Returns how many failed messages were selected.
    pub(super) async fn run(
        &self,
        filter: FailedMessageFilter,
        store: &dyn Operations,
    ) -> Result<(usize, Outcome), Error> {
        let action = self.action;
        let consumers = match action {
            Action::Retry => store.totals(&filter).await?.into_iter().map(|total| total.consumer).collect(),
            Action::Discard | Action::Undo => BTreeSet::new(),
        };
        let selection = read(filter, store).await?;
        let count = number(selection.count() as u64);
        let noun = if selection.count() == 1 { "failed message" } else { "failed messages" };
        let mut outcome = Outcome::default();
        if selection.count() > 0 {
            let order = match action {
                Action::Undo => ", behind later messages of their keys",
                Action::Retry | Action::Discard => "",
            };
            confirm(&format!("{action} {count} {noun}{order}"), self.yes)?;
            let bar = crate::progress::bar(selection.count() as u64);
            let request = Request::new(action, self.pace);
            let worked = act(request, &selection, store, &bar, &mut outcome).await;
            bar.finish_and_clear();
            worked.map_err(|error| {
                let text = format!("{} of {count} done before this", number(outcome.done as u64));
                Error::new(error.kind(), text).caused_by(error)
            })?;
        }
        let runners = if outcome.done > 0 { runners::of(store, &consumers).await } else { Vec::new() };
        if self.json {
            print(self.document(&selection, &outcome, runners))?;
        } else if selection.count() == 0 {
            print("no failed message is chosen: nothing was done")?;
        } else {
            for (id, result) in &outcome.refused {
                print(format_args!("{id}: {}", printable(&self.why(*id, *result))))?;
            }
            let done = number(outcome.done as u64);
            print(format_args!("{done} of {count} {noun} {}", accepted_together(action)))?;
            if !outcome.refused.is_empty() {
                print(format_args!("{} skipped", number(outcome.refused.len() as u64)))?;
            }
            if let (Some(pace), Some(last)) = (self.pace, outcome.done.checked_sub(1)) {
                print(format_args!("the last one is due {:#} from now", HumanDuration(pace.delay(last))))?;
            }
            runners::report(&runners)?;
        }
        Ok((selection.count(), outcome))
    }

    fn document(
        &self,
        selection: &FailedMessageSelection,
        outcome: &Outcome,
        runners: Vec<RetryRunner>,
    ) -> Value {
        let refused =
            |(id, result): &(i64, ActionResult)| json!({ "id": id, "text": self.why(*id, *result) });
        let refused: Vec<Value> = outcome.refused.iter().map(refused).collect();
        let mut document = json!({
            "selected": selection.count(),
            "done": outcome.done,
            "skipped": outcome.refused.len(),
            "refused": refused,
        });
        if self.action == Action::Retry {
            runners::add_to(&mut document, runners);
        }
        document
    }

    /// Returns why a failed message was not moved.
    fn why(&self, id: i64, result: ActionResult) -> String {
        result.done(self.action, id).err().map_or_else(String::new, |error| chain(&error))
    }
}

async fn read(
    filter: FailedMessageFilter,
    failed_messages: &dyn FailedMessages,
) -> Result<FailedMessageSelection, Error> {
    let mut selection = FailedMessageSelection::new(filter);
    while let Some(next) = selection.next_page() {
        selection.add(&failed_messages.versions(&next, FailedMessageSelection::PAGE).await?)?;
    }
    Ok(selection)
}

async fn act(
    request: Request,
    selection: &FailedMessageSelection,
    failed_messages: &dyn FailedMessages,
    bar: &ProgressBar,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    for batch in selection.batches(CHUNK) {
        let results = request.send_batch(failed_messages, batch, outcome.done).await?;
        for (version, result) in batch.versions.iter().zip(results) {
            outcome.note(version.id, result);
        }
        bar.inc(batch.versions.len() as u64);
    }
    Ok(())
}

fn accepted_together(act: Action) -> &'static str {
    match act {
        Action::Retry => "accepted: their consumers run them",
        Action::Discard => "discarded: they are never applied; `undo` takes that back",
        Action::Undo => {
            "brought back: `retry` runs those that are dead; later messages of their keys may have been applied meanwhile"
        }
    }
}
