//! Copies a file while others write to it.

use std::fs::{self, File};
use std::path::Path;

use messagekit::{Error, ErrorKind};

use crate::connect;
use crate::error::from_sqlite;

/// Copies the snapshot of one moment. SQLite writes the copy without a log beside it, and leaves the flush to the caller.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "backup cannot be written")
            .with("path", to.display())
            .caused_by(error)
    };
    // Made here and now: an existing file must never be written to, also not one that appears in this moment.
    File::options().write(true).create_new(true).open(to).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let text = "backup would replace a file: name another path, or remove that file";
            Error::new(ErrorKind::WrongState, text).with("path", to.display())
        }
        _ => failed(error),
    })?;
    let copied = connect::existing(from).and_then(|conn| {
        let path = to.to_str().ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfiguration, "path of a backup is not UTF-8")
                .with("path", to.display())
        })?;
        conn.execute("VACUUM INTO ?1", [path]).map_err(from_sqlite)
    });
    let synced = copied.and_then(|_| File::open(to).and_then(|file| file.sync_all()).map_err(failed));
    if synced.is_err() {
        fs::remove_file(to).ok();
    }
    synced.map_err(
        |error| if error.context("path").is_some() { error } else { error.with("path", to.display()) },
    )
}
