//! Folders that are removed with their owner.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::PathBuf;

/// How many names are tried for a folder.
const TRIES: u32 = 16;

/// A folder of its own, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes a folder in that of the system that no other user may read.
    pub(crate) fn create() -> io::Result<Self> {
        let within = std::env::temp_dir();
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let mut tries = 0;
        loop {
            let path = within.join(format!("messagekit-{:016x}", fastrand::u64(..)));
            tries += 1;
            match builder.create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("temporary.db")
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "temporary file stays");
        }
    }
}
