//! `messagekit connector delete`.

use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc;
use serde_json::json;

use super::target::{Connect, Source};
use super::worker::Worker;
use crate::confirm::confirm;
use crate::output::print;

/// How long a connector may take to release the slot and the publication.
const STOP: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Remove the connector.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    connect: Connect,
    /// Drop the slot and the publication too: unread events are never published
    #[arg(long)]
    slot: bool,
    /// Drop slot and publication without a confirmation
    #[arg(long, requires = "slot")]
    yes: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Delete {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (name, worker) = (self.source.name()?, self.connect.worker()?);
        let (url, capture) = (self.source.url()?, self.source.capture()?);
        if self.slot {
            let (slot, publication) = (&capture.slot, &capture.publication);
            let what = format!(
                "delete connector {name} and drop slot {slot} and publication {publication}, so that what was not read yet is never sent"
            );
            confirm(&what, self.yes)?;
        }
        // The read position means nothing without the slot, and would prevent reading from a new one.
        let forgotten = self.slot && forget(&worker, &name).await?;
        let was_there = worker.delete(&name).await? || forgotten;
        let mut dropped = Vec::new();
        if self.slot {
            dropped = let_go(url).await?;
        }
        if self.json {
            return print(json!({ "connector": name, "deleted": was_there, "dropped": dropped }));
        }
        print(format_args!("{name}: {}", if was_there { "deleted" } else { "was not there" }))?;
        for what in &dropped {
            print(format_args!("{what}: dropped"))?;
        }
        if !self.slot {
            let slot = capture.slot;
            let text = "keeps WAL until it is read or dropped: run `messagekit connector apply`, or delete with --slot";
            return print(format_args!("slot {slot}: {text}"));
        }
        Ok(())
    }
}

/// Stops the connector and deletes its position; returns `false` if it does not exist.
async fn forget(worker: &Worker, name: &str) -> Result<bool, Error> {
    if !worker.stop(name).await? {
        return Ok(false);
    }
    let end = Instant::now() + STOP;
    loop {
        // The worker refuses until the task has ended.
        match worker.forget(name).await {
            Ok(_) => return Ok(true),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Drops slot and publication; retries, because the server notices only a moment later that the reader has left.
async fn let_go(url: &str) -> Result<Vec<String>, Error> {
    let end = Instant::now() + STOP;
    loop {
        match cdc::drop_slot(url, &SchemaName::default()).await {
            Err(error) if error.kind() == ErrorKind::WrongState && Instant::now() < end => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            outcome => return outcome.map_err(crate::database::failed),
        }
    }
}
