//! `messagekit replay start`.

use messagekit_admin::InDatabase;
use std::num::NonZeroU32;

use jiff::Timestamp;
use messagekit::operations::{EventFilter, ReplayIds, ReplayOrder};
use messagekit::{Error, ErrorKind};
use serde_json::json;

use super::chosen::Chosen;
use super::follow::follow;
use super::{count, job};
use crate::confirm::confirm;
use crate::database::Database;
use crate::databases::name_of;
use crate::operator::operator;
use crate::output::{print, print_json};

#[derive(Debug, clap::Args)]
pub(super) struct Start {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Every stored event
    #[arg(long)]
    all: bool,
    /// The ids of the copies: same, and consumers skip events that they have handled; new, and they handle them again
    #[arg(long, value_name = "IDS", default_value = "same", value_parser = ids)]
    ids: ReplayIds,
    /// At most this many per second
    #[arg(long, value_name = "EVENTS")]
    per_second: Option<NonZeroU32>,
    /// Order it and do not wait: `messagekit admin` runs it
    #[arg(long)]
    detach: bool,
    /// Skip the confirmation
    #[arg(long)]
    yes: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Start {
    pub(super) async fn run(self) -> Result<(), Error> {
        let mut filter = self.chosen.clone().filter();
        if filter == EventFilter::default() && !self.all {
            let text = "choose events with options such as --type or --from, or write --all";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        // The confirmation does not cover events that are written during the prompt.
        filter.to.get_or_insert_with(Timestamp::now);
        let name = self.database.name()?;
        let store = self.database.open().await?;
        let order = ReplayOrder {
            filter,
            ids: self.ids,
            per_second: self.per_second.map(NonZeroU32::get),
            count: None,
        };
        let started = self.order(order, store.store(), &name).await;
        store.close().await?;
        started
    }

    async fn order(
        &self,
        order: ReplayOrder,
        store: &dyn messagekit::operations::Replays,
        name: &str,
    ) -> Result<(), Error> {
        let count = store.replay_count(&order.filter).await?;
        if count.events == 0 {
            return match self.json {
                true => print(json!({ "id": null, "events": 0, "published": 0 })),
                false => print("no event is chosen: nothing was done"),
            };
        }
        if !self.yes && !self.json {
            print(count::in_words(&count))?;
        }
        confirm(&format!("publish {} again", count::events(count.events)), self.yes)?;
        let order = ReplayOrder { count: Some(count.events), ..order };
        let ordered = store.order_replay(&order, &operator()).await?;
        if self.detach {
            return match self.json {
                true => print_json(&InDatabase::new(name_of(&self.database)?, &ordered)),
                false => print(format_args!(
                    "{}; it goes on where `messagekit admin` runs, or with `messagekit replay show {} --follow`",
                    job::in_words(&ordered),
                    ordered.id
                )),
            };
        }
        let done = follow(store, name, ordered.id).await?;
        match self.json {
            true => print_json(&InDatabase::new(name_of(&self.database)?, &done))?,
            false => print(job::in_words(&done))?,
        }
        job::ended(&done)
    }
}

fn ids(text: &str) -> Result<ReplayIds, String> {
    let known = [ReplayIds::Same, ReplayIds::New];
    known.into_iter().find(|ids| ids.as_str() == text).ok_or_else(|| "write same or new".to_owned())
}
