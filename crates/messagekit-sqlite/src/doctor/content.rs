//! What is in the file: its pages, the version of the tables, relayed topics.

use std::path::Path;
use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::SchemaFit;
use messagekit::operations::{DedupReach, Diagnosis, Repair, SCHEMA_PENDING, TABLE_SOURCE_FAULTY};
use rusqlite::Connection;

use super::checks::{DAMAGED, DELAYED_UNREADABLE, ON_TABLES, SYNCHRONOUS};
use super::groups;
use crate::error::from_sqlite;
use crate::migrations;
use crate::table_sources::install;
use crate::tables::{delayed, micros, now, pending, rejected, shards, unhandled_types};

/// The largest file whose pages are all read.
const READ_WHOLE: i64 = 256 * 1024 * 1024;

/// The time for a relay's restart, which is not a fault yet.
const RESTART: Duration = Duration::from_secs(30);

/// The topics that a consumer with a dedup window reads from brokers; those of the file itself keep their positions in
/// other tables.
const REACH: &str = "SELECT DISTINCT c.name, t.name, (
    SELECT max(w.seconds) FROM messagekit_consumer_windows w WHERE w.consumer_id = c.id)
  FROM messagekit_consumer_offsets o JOIN messagekit_consumers c ON c.id = o.consumer_id
  JOIN messagekit_topics t ON t.id = o.topic_id
  WHERE EXISTS (SELECT 1 FROM messagekit_consumer_windows w WHERE w.consumer_id = c.id) ORDER BY 1, 2";

pub(super) fn look(conn: &Connection, path: &Path, name: &str, diagnosis: &mut Diagnosis) {
    if let Err(error) = pages(conn, path, name, diagnosis) {
        diagnosis.not_checked([&DAMAGED], error.to_string());
    }
    match schema(conn, path, name, diagnosis) {
        Ok(true) => {}
        Ok(false) => {
            return diagnosis.not_checked_on_tables(ON_TABLES.iter().copied());
        }
        Err(error) => {
            diagnosis.not_checked([&SCHEMA_PENDING], error.to_string());
            return diagnosis.not_checked(ON_TABLES.iter().copied(), "the tables cannot be read");
        }
    }
    if let Err(error) = relayed(conn, path, name, diagnosis) {
        diagnosis.not_checked(ON_TABLES.iter().copied(), error.to_string());
    }
    // Without an answer a broker's check lacks this file's consumers, which other checks do not need.
    diagnosis.dedup_reach = reach(conn).unwrap_or_default();
}

pub(super) fn synchronous(level: i64, name: &str, diagnosis: &mut Diagnosis) {
    if level < 2 {
        let text = format!("this program has opened {name} with synchronous = {level}, and 2 is FULL");
        let repair = "open it with `SqliteOptions::synchronous(Synchronous::Full)`, which is the default";
        diagnosis.found(&SYNCHRONOUS, name, text, [Repair::Manual(repair.to_owned())]);
    }
}

fn pages(conn: &Connection, path: &Path, name: &str, diagnosis: &mut Diagnosis) -> rusqlite::Result<()> {
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let bytes = number("page_count")?.saturating_mul(number("page_size")?);
    if bytes > READ_WHOLE {
        let reason = format!(
            "{name} has {bytes} bytes, and up to {READ_WHOLE} are read here: run PRAGMA quick_check in a quiet hour"
        );
        diagnosis.not_checked([&DAMAGED], reason);
        return Ok(());
    }
    let mut check = conn.prepare("PRAGMA quick_check(3)")?;
    let said: rusqlite::Result<Vec<String>> = check.query_map([], |row| row.get(0))?.collect();
    let said = said.unwrap_or_else(|error| vec![error.to_string()]);
    if said != ["ok"] {
        let text = format!("{name} is damaged: {}", said.join("; ").replace('\n', ", "));
        diagnosis.found(&DAMAGED, name, text, restore(path));
    }
    Ok(())
}

pub(super) fn restore(path: &Path) -> Vec<Repair> {
    let name = path.display();
    vec![Repair::Manual(format!(
        "end the programs that use {name}, and put a backup in its place; without one, `sqlite3 {name} .recover` prints what \
         can still be read"
    ))]
}

pub(super) fn migrate(path: &Path) -> Vec<Repair> {
    vec![command(path, &["migrate"])]
}

fn command(path: &Path, words: &[&str]) -> Repair {
    let database = format!("sqlite:{}", path.display());
    Repair::command([&["messagekit"], words, &["--database", &database]].concat())
}

/// Returns whether this program can use the tables.
fn schema(conn: &Connection, path: &Path, name: &str, diagnosis: &mut Diagnosis) -> Result<bool, Error> {
    let (found, program) = (migrations::version(conn)?, migrations::this_program());
    let (fit, current, latest) = (found.fit(program), found.current, program.latest);
    if fit == SchemaFit::Usable {
        return Ok(true);
    }
    let text = match current {
        0 => format!("{name} has no tables of messagekit, and this program needs version {latest}"),
        _ => format!("the tables of {name} have version {current}, and this program needs {latest}"),
    };
    let repair = match fit {
        SchemaFit::Newer => vec![Repair::Manual("upgrade this program: the tables are newer".to_owned())],
        SchemaFit::BeforeFirst => {
            vec![Repair::Manual("use a new file: no program upgrades this one".to_owned())]
        }
        _ => migrate(path),
    };
    diagnosis.found(&SCHEMA_PENDING, name, text, repair);
    Ok(false)
}

fn relayed(conn: &Connection, path: &Path, name: &str, diagnosis: &mut Diagnosis) -> Result<(), Error> {
    let now = now();
    if shards::any_topic_leaves(conn).map_err(from_sqlite)? {
        let restart = now - micros(RESTART);
        let (waiting, overdue, _) = pending::waiting(conn, restart).map_err(from_sqlite)?;
        let last = shards::last_life(conn, now).map_err(from_sqlite)?;
        if overdue > 0 && last.is_none_or(|until| until <= restart) {
            let run = command(path, &["relay"]);
            let run = format!(
                "keep a relay running: {} --kafka HOST:PORT, or a `Relay` in your service",
                run.text()
            );
            diagnosis.found_no_relay(name, waiting, Repair::Manual(run));
        }
        let counts = rejected::counts(conn).map_err(from_sqlite)?;
        if counts.0 > 0 {
            diagnosis.found_rejected(name, counts, None, |words| command(path, words));
        }
    }
    let unreadable = delayed::unreadable(conn).map_err(from_sqlite)?;
    if unreadable > 0 {
        let text = format!("{unreadable} rows of messagekit_outbox_delayed cannot be read");
        let repair = "correct these rows, or delete them: nothing appends them to their topics";
        diagnosis.found(&DELAYED_UNREADABLE, name, text, [Repair::Manual(repair.to_owned())]);
    }
    let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
    for source in install::known(&snapshot)? {
        if let Some(problem) = source.problem() {
            let repairs: Vec<Repair> = source.repairs().iter().map(|words| command(path, words)).collect();
            diagnosis.found(&TABLE_SOURCE_FAULTY, &source.table, problem, repairs);
        }
    }
    for (consumer, messages) in unhandled_types::misspelt(&snapshot, now)? {
        diagnosis.found_misspelt(&consumer, &messages);
    }
    groups::look(&snapshot, now, diagnosis)
}

fn reach(conn: &Connection) -> rusqlite::Result<Vec<DedupReach>> {
    let mut select = conn.prepare(REACH)?;
    let rows = select.query_map([], |row| {
        let seconds: i64 = row.get(2)?;
        let window = Duration::from_secs(seconds.unsigned_abs());
        Ok(DedupReach { consumer: row.get(0)?, topic: row.get(1)?, window })
    })?;
    rows.collect()
}
