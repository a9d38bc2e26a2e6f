//! The file and its surroundings: journal mode, log, room on the disk.

use std::fs;
use std::path::Path;

use messagekit::operations::{Diagnosis, Repair};
use rusqlite::Connection;

use super::checks::{DISK_NEARLY_FULL, JOURNAL_MODE, LOG_LARGE};

/// Twice the size to which a checkpoint cuts the log.
const LARGE: u64 = 128 * 1024 * 1024;

/// Room for one log of the usual size.
const ROOM: u64 = 64 * 1024 * 1024;

/// Returns the size of the write-ahead log, 0 without one.
pub(super) fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(0, |log| log.len())
}

pub(super) fn look(path: &Path, name: &str, log: u64, conn: &Connection, diagnosis: &mut Diagnosis) {
    match conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)) {
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => {}
        Ok(mode) => {
            let repair = [Repair::Sql("PRAGMA journal_mode = WAL".to_owned())];
            diagnosis.found(&JOURNAL_MODE, name, format!("journal_mode of {name} is {mode}"), repair);
        }
        Err(error) => diagnosis.not_checked([&JOURNAL_MODE], error.to_string()),
    }
    if log > LARGE {
        let text = format!("the log {name}-wal has {log} bytes, and a checkpoint leaves {ROOM} at most");
        let repair = [
            Repair::Manual(format!(
                "end the program that keeps a snapshot open: `fuser --verbose {}` lists those that have the file open",
                quoted(name)
            )),
            Repair::Sql("PRAGMA wal_checkpoint(TRUNCATE)".to_owned()),
        ];
        diagnosis.found(&LOG_LARGE, name, text, repair);
    }
    match free_bytes(path) {
        Ok(free) => room(free, name, diagnosis),
        Err(error) => diagnosis.not_checked([&DISK_NEARLY_FULL], format!("the disk of {name}: {error}")),
    }
}

fn room(free: u64, name: &str, diagnosis: &mut Diagnosis) {
    if free >= ROOM {
        return;
    }
    let text = format!("the disk of {name} has {free} bytes left, and the log may need {ROOM}");
    let repair = "remove other files from this disk, or move the database to a larger one";
    diagnosis.found(&DISK_NEARLY_FULL, name, text, [Repair::Manual(repair.to_owned())]);
}

fn quoted(name: &str) -> String {
    Repair::command([name]).text().to_owned()
}

/// Returns the bytes that a user without special rights may still write.
#[cfg(unix)]
fn free_bytes(path: &Path) -> Result<u64, String> {
    let found = rustix::fs::statvfs(path).map_err(|error| error.to_string())?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Result<u64, String> {
    Err("this system is not asked for its free bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_must_have_room_for_one_log() {
        let found = |free| {
            let mut diagnosis = Diagnosis::default();
            room(free, "shop.db", &mut diagnosis);
            diagnosis.findings.pop().map(|found| found.text)
        };
        assert_eq!(found(ROOM), None);
        let text = found(ROOM - 1).unwrap();
        assert!(text.contains("67108863 bytes left"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn the_disk_of_a_file_says_how_much_room_it_has() {
        assert!(free_bytes(Path::new("/")).is_ok());
        assert!(free_bytes(Path::new("/no/such/file")).is_err());
    }
}
