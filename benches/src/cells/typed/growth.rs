//! E3: the cost of an append when its topic has many records.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use messagekit_sqlite::{SqliteStore, Synchronous};
use messagekit_topics::Topics;

use super::super::embedded::{Ran, Run, Work, measure};
use super::fixture::{Item, SOURCE, UNITS, item, topic};
use crate::frame::{Better, Cell, Contender, Goal, Ledger, Outcome, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const E3: Cell = Cell {
    id: "E3",
    title: "typed topics: append as the topic grows",
    figure: UNITS.rate,
    better: Better::Higher,
    plan,
};

/// Records that are appended and measured.
const RECORDS: usize = 200_000;
/// Records of a call.
const BATCH: usize = 4_000;
/// Records that a grown topic has before for each that is appended, and in the run of the stated size.
const GROWN: u64 = 5;
const FULL: u64 = 50;

const EMPTY: &str = "an empty file";
const MANY: &str = "a file of many records";

/// Returns the records that a grown topic has before so many are appended.
fn before(records: usize) -> u64 {
    let is_full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1");
    records as u64 * if is_full { FULL } else { GROWN }
}

fn plan(settings: Arc<Settings>) -> Plan {
    let records = settings.scaled(RECORDS);
    let mut plan = Plan {
        sizes: format!(
            "records of 200 bytes, {BATCH} in a commit; {} are there before, {} with MESSAGEKIT_FULL=1; a file of them stays in the \
             folder for the next run",
            before(records),
            records as u64 * FULL
        ),
        contenders: Vec::new(),
        goals: Vec::new(),
    };
    let works: [(&str, Work, Work, f64); 2] = [
        ("append", |run| Box::pin(empty(run, false)), |run| Box::pin(grown(run, false)), 0.9),
        ("append, dedup", |run| Box::pin(empty(run, true)), |run| Box::pin(grown(run, true)), 0.6),
    ];
    for (group, empty, grown, least) in works {
        for (name, work) in [(EMPTY, empty), (MANY, grown)] {
            let settings = Arc::clone(&settings);
            let run = move || measure(Arc::clone(&settings), UNITS, Synchronous::Normal, records, work);
            plan.contenders.push(Contender::new(group.to_owned(), name, Role::Ours, run));
        }
        let (group, target) = (group.to_owned(), Target::AtLeast(least));
        plan.goals.push(Goal { group, figure: UNITS.rate, over: MANY, under: Some(EMPTY), target });
    }
    plan
}

async fn empty(run: Run<'_>, dedup: bool) -> Outcome<Ran> {
    append(&run, &run.folder.join("empty.db"), dedup, 0).await
}

/// Appends to a file that is made once, beside the folders of the runs.
async fn grown(run: Run<'_>, dedup: bool) -> Outcome<Ran> {
    let folder = run.folder.parent().ok_or("the folder of a run has no parent")?;
    let before = before(run.events);
    let path: PathBuf = folder.join(format!("bench-grown-{before}-{dedup}.db"));
    append(&run, &path, dedup, before).await
}

/// Fills a file up to so many records, and measures the next ones.
async fn append(run: &Run<'_>, path: &Path, dedup: bool, before: u64) -> Outcome<Ran> {
    let topics: Topics<SqliteStore> =
        Topics::of(SqliteStore::options().synchronous(run.synchronous).open(path).await?);
    let source = topic(&topics, SOURCE, dedup).await?;
    let mut known = source.count().await?.all;
    while known < before {
        let items: Vec<Item> = (known..known + BATCH as u64).map(item).collect();
        source.extend(&items).await?;
        known += items.len() as u64;
    }
    let items: Vec<Item> = (known..known + run.events as u64).map(item).collect();
    let started = Instant::now();
    for batch in items.chunks(BATCH) {
        source.extend(batch).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let there = source.count().await?.all - known;
    topics.close().await?;
    let ledger = Ledger { lost: run.events as u64 - there, doubled: 0, out_of_order: 0 };
    Ok(Ran { rate: run.events as f64 / seconds, ledger, group: None })
}
