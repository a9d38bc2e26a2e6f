//! `messagekit connector apply`.

use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, Finding, Subject};
use serde_json::json;

use super::target::{Connect, Source};
use super::template::{self, Reach};
use super::worker::Worker;
use crate::output::print;

/// How long the connector may take from its new settings to reading the slot.
const START: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long it must read without a gap: a task that fails at the first row reads for a moment after each restart.
const STEADY: Duration = Duration::from_secs(2);

/// Create or change the connector.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    reach: Reach,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

impl Apply {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (name, worker) = (self.source.name()?, self.connect.worker()?);
        let wanted = template::settings(&self.source.capture()?, &self.reach)?;
        let url = self.source.url()?;
        // The worker would fail only later, with another error.
        if let Some(found) = findings(url).await?.into_iter().find(|found| found.subject != Subject::Reader) {
            return Err(Error::new(ErrorKind::WrongState, found.to_string()));
        }
        let mut known = worker.settings(&name).await?;
        // The worker adds the name.
        known.as_mut().and_then(|known| known.remove("name"));
        let change = match &known {
            None => "created",
            Some(known) if *known != wanted => "changed",
            Some(_) => "unchanged",
        };
        if change != "unchanged" {
            worker.put(&name, &wanted).await?;
        } else if let Some(told) = worker.told(&name).await? {
            if told.has_failed() {
                worker.restart(&name).await?;
            } else if matches!(&*told.connector, "PAUSED" | "STOPPED") {
                worker.resume(&name).await?;
            }
        }
        until_it_reads(&worker, &name, url).await?;
        if self.json {
            return print(json!({ "connector": name, "change": change }));
        }
        print(format_args!("{name}: {change}, running, and the slot is being read"))
    }
}

/// Waits until the connector reads. Its own state RUNNING is not enough; the slot shows whether it is being read.
async fn until_it_reads(worker: &Worker, name: &str, url: &str) -> Result<(), Error> {
    let end = Instant::now() + START;
    let mut failed_looks = 0;
    let mut reads_since = None;
    loop {
        let told = match worker.told(name).await {
            // It rebalances, as it does after each change, or answers late.
            Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < end => None,
            told => told?,
        };
        if let Some(told) = told.as_ref().filter(|told| told.has_failed()) {
            // A restarted task still reports FAILED for a moment.
            failed_looks += 1;
            if failed_looks > 10 {
                let trace = told.trace.as_deref().unwrap_or("look at the worker's log");
                return Err(Error::new(ErrorKind::Other, format!("connector {name} has failed: {trace}")));
            }
        }
        let reads = told.as_ref().is_some_and(|told| told.is_running()) && findings(url).await?.is_empty();
        if is_steady(&mut reads_since, reads, Instant::now()) {
            return Ok(());
        }
        if Instant::now() > end {
            let found = findings(url).await?.into_iter().next();
            let state = told.map_or_else(|| "unknown".to_owned(), |told| told.connector);
            let found =
                found.map_or_else(|| "look at the worker's log".to_owned(), |found| found.to_string());
            let text = format!(
                "connector {name} does not stay with the slot after {} s; it says {state}; {found}",
                START.as_secs()
            );
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Evaluates one observation; one without a reader restarts the time.
fn is_steady(reads_since: &mut Option<Instant>, reads: bool, now: Instant) -> bool {
    if !reads {
        *reads_since = None;
        return false;
    }
    now.duration_since(*reads_since.get_or_insert(now)) >= STEADY
}

/// Queries the database with a time limit, because it may hang.
pub(crate) async fn findings(url: &str) -> Result<Vec<Finding>, Error> {
    const LOOK: Duration = Duration::from_secs(8);
    match tokio::time::timeout(LOOK, cdc::findings(url, &SchemaName::default())).await {
        Ok(found) => found.map_err(crate::database::failed),
        Err(_) => {
            let text = format!(
                "PostgreSQL does not answer within {} s: start it or correct the URL",
                LOOK.as_secs()
            );
            Err(Error::new(ErrorKind::Unavailable, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_comes_and_goes_is_not_steady() {
        let (start, mut since) = (Instant::now(), None);
        let mut look = |at: u64, reads| is_steady(&mut since, reads, start + Duration::from_millis(at));
        assert!(!look(0, true) && !look(1900, true));
        assert!(!look(1950, false), "it left");
        assert!(!look(2100, true) && !look(4000, true));
        assert!(look(4100, true));
    }
}
