//! Connects to a file that may be missing, foreign, newer or not a database.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::Synchronous;
use crate::error::from_sqlite;
use crate::migrations::steps::{self, MIGRATIONS};
use crate::writer::busy;

const STATEMENTS: usize = 128;
/// The most memory of the writer for pages, as SQLite writes KiB. The index of dedup hashes is written at random, and each page that
/// does not fit is read again.
const CACHE_KIB: i32 = -8 * 1024;
/// The size of the log on disk after a checkpoint.
const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// How long the switch of a new file to WAL is retried: it can return BUSY despite the busy handler.
const WAL_LIMIT: Duration = Duration::from_secs(5);

/// Makes a path independent of later changes of the working directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let text = path.to_string_lossy();
    if text.is_empty() || text == ":memory:" {
        return Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "a database in memory cannot be shared between connections: name a file, or use `MemoryStore` in tests",
        ));
    }
    std::path::absolute(path)
        .map_err(|error| at(path, Error::new(ErrorKind::Unavailable, "open database").caused_by(error)))
}

/// Opens the writing connection: checks the file first, then changes it, then migrates.
pub(crate) fn writer(path: &Path, synchronous: Synchronous) -> Result<Connection, Error> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let prepare = || -> Result<(), Error> {
        // A read-only file opens without an error, and the first statement would name no reason.
        if conn.is_readonly("main").map_err(from_sqlite)? {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "open database: file is read-only: give this user the right to write it and its folder",
            ));
        }
        steps::check(&conn)?;
        switch_to_wal(&conn)?;
        conn.pragma_update(None, "journal_size_limit", LOG_BYTES.cast_signed()).map_err(from_sqlite)?;
        conn.pragma_update(None, "cache_size", CACHE_KIB).map_err(from_sqlite)?;
        conn.pragma_update(
            None,
            "synchronous",
            match synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
        )
        .map_err(from_sqlite)?;
        steps::run(&conn, MIGRATIONS)?;
        // Another process may have run newer steps since the first check.
        steps::check(&conn).map(drop)
    };
    prepare().map_err(|error| explain(path, error))?;
    Ok(conn)
}

/// Opens a connection for queries.
///
/// It is opened for writing and restricted by a pragma. A read-only connection that is closed last would leave the log
/// behind.
pub(crate) fn reader(path: &Path) -> Result<Connection, Error> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "query_only", true).map_err(|error| explain(path, from_sqlite(error)))?;
    Ok(conn)
}

/// Opens an existing file for checks.
pub(crate) fn existing(path: &Path) -> Result<Connection, Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let open = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        busy::install(&conn)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.pragma_update(None, "trusted_schema", false)?;
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(conn)
    };
    open().map_err(|error| explain(path, from_sqlite(error)))
}

fn switch_to_wal(conn: &Connection) -> Result<(), Error> {
    let deadline = Instant::now() + WAL_LIMIT;
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(
                    ErrorKind::InvalidConfiguration,
                    "open database: this file system cannot hold a database with a write-ahead log: use a local disk",
                )
                .with("journal_mode", mode));
            }
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_micros(fastrand::u64(500..5_000)));
            }
            Err(error) => return Err(from_sqlite(error)),
        }
    }
}

/// Adds the path, and the repair for common mistakes.
pub(crate) fn explain(path: &Path, error: Error) -> Error {
    let code = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<rusqlite::Error>())
        .and_then(rusqlite::Error::sqlite_error_code);
    let text = match code {
        Some(ErrorCode::NotADatabase) => {
            "open database: file is not a SQLite database: name another path or move the file away"
        }
        Some(ErrorCode::DatabaseCorrupt) => "open database: file is damaged: restore it from a backup",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => reason(path),
        _ => return at(path, error),
    };
    at(path, Error::new(error.kind(), text))
}

/// Checks names and rights only: opening the file by other means would release SQLite's locks on it.
fn reason(path: &Path) -> &'static str {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if path.is_dir() {
        "open database: path is a folder: name a file in it"
    } else if !folder.exists() {
        "open database: folder does not exist: create it first"
    } else if fs::metadata(path).is_ok_and(|file| file.permissions().readonly()) {
        "open database: file is read-only: give this user the right to write it and its folder"
    } else if path.exists() {
        "open database: file cannot be opened: check the rights on it and its folder"
    } else {
        "open database: file cannot be made: check the rights on its folder"
    }
}

fn at(path: &Path, error: Error) -> Error {
    if error.context("path").is_some() { error } else { error.with("path", path.display()) }
}
