//! `messagekit outbox rejected retry` and `discard`.

use std::collections::BTreeSet;

use messagekit::relay::{RejectedAction, RejectedEvents};
use messagekit::{Error, ErrorKind, chain};
use serde_json::{Value, json};

use crate::confirm::confirm;
use crate::database::Database;
use crate::operator::operator;
use crate::output::{number, print, printable};

/// The page size of a list query.
const PAGE: u32 = 500;

/// Events by their numbers, or all rejected ones.
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    #[command(flatten)]
    database: Database,
    /// The events' numbers, as `list` shows them
    #[arg(required_unless_present = "all")]
    ids: Vec<i64>,
    /// Every event that is rejected now
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Skip the confirmation
    #[arg(long)]
    yes: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Events {
    pub(super) async fn run(self, action: RejectedAction) -> Result<(), Error> {
        let store = self.database.open().await?;
        let outcome = self.act(action, store.rejected()?).await;
        store.close().await?;
        match outcome? {
            (_, 0) => Ok(()),
            (asked, refused) => {
                let text = format!("{} of {} not accepted", number(refused as u64), number(asked as u64));
                Err(Error::new(ErrorKind::WrongState, text))
            }
        }
    }

    /// Returns how many events were requested, and for how many of them the action failed.
    async fn act(
        &self,
        action: RejectedAction,
        events: &dyn RejectedEvents,
    ) -> Result<(usize, usize), Error> {
        let mut seen = BTreeSet::new();
        let mut ids = self.ids.clone();
        ids.retain(|id| seen.insert(*id));
        if self.all {
            ids = all(events).await?;
        }
        // A discarded event never comes back; a retry of a few is harmless.
        if !ids.is_empty() && (self.all || action == RejectedAction::Discard) {
            let noun = if ids.len() == 1 { "event" } else { "events" };
            confirm(&format!("{} {} {noun}", verb(action), number(ids.len() as u64)), self.yes)?;
        }
        let (mut answers, mut refused) = (Vec::new(), 0);
        for id in &ids {
            let (accepted, back, text) = match events.act_on_rejected(action, *id, &operator()).await {
                Ok(back) => (true, back, in_words(action, back)),
                // A retry of one event includes all others of its key.
                Err(error) if self.all && error.kind() == ErrorKind::NotFound => {
                    (true, 0, "gone before, with another one of its key".to_owned())
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WrongState) => {
                    refused += 1;
                    (false, 0, chain(&error))
                }
                Err(error) => return Err(error),
            };
            if self.json {
                answers.push(json!({ "id": id, "accepted": accepted, "back": back, "text": text }));
            } else {
                print(format_args!("{id}: {}", printable(&text)))?;
            }
        }
        if self.json {
            print(json!({ "events": Value::from(answers) }))?;
        } else if ids.is_empty() {
            print("no rejected events: nothing was done")?;
        }
        Ok((ids.len(), refused))
    }
}

fn verb(action: RejectedAction) -> &'static str {
    match action {
        RejectedAction::Retry => "retry",
        RejectedAction::Discard => "discard",
    }
}

fn in_words(action: RejectedAction, back: u64) -> String {
    let back = number(back);
    match action {
        RejectedAction::Retry => format!("back in the outbox, {back} with what waited behind it"),
        RejectedAction::Discard => format!("given up, it is never published; {back} that waited go on"),
    }
}

/// Returns every rejected event; later ones are not part of it.
async fn all(events: &dyn RejectedEvents) -> Result<Vec<i64>, Error> {
    let mut ids: Vec<i64> = Vec::new();
    loop {
        let after = ids.last().copied().unwrap_or(0);
        let page = events.rejected(after, PAGE, false).await?;
        ids.extend(page.iter().map(|event| event.id));
        if page.len() < PAGE as usize {
            return Ok(ids);
        }
    }
}
