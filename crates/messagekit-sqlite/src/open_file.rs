//! Notices that a path names another file than the one that is open.
//!
//! A restore moves a backup over the file. Connections then still write to the old file, which no longer has a name, and every commit into
//! it is lost.

use std::fs;
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};

/// The file that a path named when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    identity: Option<Identity>,
}

/// The device and the number of a file on it.
type Identity = (u64, u64);

impl OpenFile {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }

    /// Asks the system for the file's name, rights and times only: opening the file would release SQLite's locks on it. It takes 1 µs.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if identity(&self.path) == self.identity {
            return Ok(());
        }
        let text = "the file was replaced or removed while it was open: end this program and start it again, and remove the files \
                    -wal and -shm beside the path first if they are of the old file";
        Err(Error::new(ErrorKind::Closed, text).with("path", self.path.display()))
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;

    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Elsewhere the system refuses to replace an open file.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}
