//! The log of a file.

use std::path::PathBuf;

use messagekit::{Error, ErrorKind};
use messagekit_sqlite::{SqliteStore, migrations};

/// Opens a file that has the tables of this program, and changes none.
pub(super) async fn open(path: PathBuf) -> Result<SqliteStore, Error> {
    let refused = |kind, text: &'static str| Error::new(kind, text).with("path", path.display());
    if !path.is_file() {
        return Err(refused(ErrorKind::NotFound, "there is no such file"));
    }
    let status = migrations::status(&path)?;
    if status.current == 0 {
        return Err(refused(ErrorKind::Schema, "the file has no topics: is it the right one?"));
    }
    if !status.pending.is_empty() {
        let text = "the tables of the file are older than this package: open it as a Source first";
        return Err(refused(ErrorKind::Schema, text));
    }
    Ok(SqliteStore::open(path).await?)
}
