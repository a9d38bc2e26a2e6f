//! `messagekit schema check`.

use std::path::PathBuf;

use messagekit::{Error, ErrorKind};
use messagekit_schema::{Compatibility, ContractProblem, Contracts};
use serde_json::json;

use super::documents::{Current, read};
use crate::output::{print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    current: Current,
    /// The baseline: every version that was ever deployed
    #[arg(long)]
    baseline: PathBuf,
    #[command(flatten)]
    mode: Mode,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Mode {
    /// Who must read what others write: `backward` new programs old data, `forward` old programs new data, `full` both
    #[arg(long, default_value_t, value_name = "MODE")]
    compatibility: Compatibility,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Error> {
        let (baseline, current) = (read(&self.baseline)?, self.current.read()?);
        let mut problems = baseline.check(&current, self.mode.compatibility)?;
        problems.extend(baseline.missing(&current).map(|now| ContractProblem {
            event_type: now.event_type.clone(),
            before: "-".to_owned(),
            now: Some(now.version.clone()),
            problem: "this version is not in the baseline: add it with messagekit schema export".to_owned(),
        }));
        if self.json {
            print(json!({ "compatibility": self.mode.compatibility.as_str(), "problems": problems }))?;
        } else if problems.is_empty() {
            print(format!("compatible ({}), {} contracts", self.mode.compatibility, current.events().len()))?;
        } else {
            print(rows(&problems))?;
        }
        refused(&problems)
    }
}

impl Mode {
    /// Compares, prints what is wrong, and fails if anything is.
    pub(super) fn compare(&self, baseline: &Contracts, current: &Contracts) -> Result<(), Error> {
        let problems = baseline.check(current, self.compatibility)?;
        if !problems.is_empty() {
            print(rows(&problems))?;
        }
        refused(&problems)
    }
}

fn rows(problems: &[ContractProblem]) -> comfy_table::Table {
    let mut rows = table(&["event type", "before", "now", "problem"]);
    for ContractProblem { event_type, before, now, problem } in problems {
        let now = now.as_deref().unwrap_or("-");
        rows.add_row([event_type, before, now, problem].map(printable));
    }
    rows
}

fn refused(problems: &[ContractProblem]) -> Result<(), Error> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(Error::new(ErrorKind::SchemaMismatch, "1 problem with the baseline")),
        count => Err(Error::new(ErrorKind::SchemaMismatch, format!("{count} problems with the baseline"))),
    }
}
