//! Examines a file.

mod checks;
mod content;
mod file;
mod groups;

use std::path::{Path, PathBuf};

use messagekit::adapter::BoxFuture;
use messagekit::operations::{Diagnosis, Doctor, Repair, SERVICE_UNREACHABLE};
use messagekit::{Error, ErrorKind, chain};
use rusqlite::config::DbConfig;
use tokio::task;

use crate::error::from_sqlite;
use crate::{SqliteStore, connect};

/// Examines a file without opening it as a store: it is neither created, migrated nor switched to another mode.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use messagekit::operations::Doctor;
/// use messagekit_sqlite::FileDoctor;
///
/// let diagnosis = FileDoctor::new("/no/such/shop.db").diagnose().await;
/// assert_eq!(diagnosis.findings[0].check.name, "service-unreachable");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileDoctor {
    path: PathBuf,
}

impl FileDoctor {
    /// Names the file; nothing is read until [`diagnose`](Doctor::diagnose).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Doctor for FileDoctor {
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        Box::pin(async move {
            let mut diagnosis = examined(self.path.clone()).await;
            // Each program decides that where it opens the file; the file does not tell.
            diagnosis.checks.retain(|check| *check != &checks::SYNCHRONOUS);
            diagnosis
        })
    }
}

impl Doctor for SqliteStore {
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        Box::pin(async move {
            let mut diagnosis = examined(self.path().to_owned()).await;
            let level = self.job(|conn| {
                conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).map_err(from_sqlite)
            });
            match level.await {
                Ok(level) => content::synchronous(level, &name(self.path()), &mut diagnosis),
                Err(error) => diagnosis.not_checked([&checks::SYNCHRONOUS], chain(&error)),
            }
            diagnosis
        })
    }
}

/// Reading a file blocks its thread.
async fn examined(path: PathBuf) -> Diagnosis {
    let examined = task::spawn_blocking(move || examine(&path)).await;
    examined.unwrap_or_else(|fault| {
        let mut diagnosis = Diagnosis::of(checks::all());
        diagnosis.not_checked(checks::all(), format!("the examination ended early: {fault}"));
        diagnosis
    })
}

fn examine(path: &Path) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(checks::all());
    let named = name(path);
    // Before the file is opened: a connection may shorten the log.
    let log = file::log_bytes(path);
    let conn = match open(path) {
        Ok(conn) => conn,
        Err(error) => {
            unreadable(&error, path, &named, &mut diagnosis);
            return diagnosis;
        }
    };
    file::look(path, &named, log, &conn, &mut diagnosis);
    content::look(&conn, path, &named, &mut diagnosis);
    diagnosis
}

fn open(path: &Path) -> Result<rusqlite::Connection, Error> {
    let path = connect::absolute(path)?;
    if !path.exists() {
        let text = "no such database file: check the path; `messagekit migrate` makes a new one";
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let conn = connect::existing(&path)?;
    // The last connection would otherwise copy the log into the file, and an examination changes nothing.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(from_sqlite)?;
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(|error| connect::explain(&path, from_sqlite(error)))?;
    Ok(conn)
}

fn unreadable(error: &Error, path: &Path, named: &str, diagnosis: &mut Diagnosis) {
    let check = match error.kind() {
        ErrorKind::Corrupt => &checks::DAMAGED,
        _ => &SERVICE_UNREACHABLE,
    };
    let repair = match error.kind() {
        ErrorKind::Corrupt => content::restore(path),
        ErrorKind::NotFound => content::migrate(path),
        _ => {
            let text = error.to_string();
            let cure = text.rsplit_once(": ").map_or(text.as_str(), |(_, cure)| cure);
            vec![Repair::Manual(cure.to_owned())]
        }
    };
    diagnosis.found(check, named, chain(error), repair);
    let others = checks::all().filter(|other| *other != check && **other != checks::SYNCHRONOUS);
    diagnosis.not_checked(others, "the file cannot be read");
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
