//! The holder of an open file's record claims: a lock on a side file, which the kernel releases when the process ends.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::ClaimHolder;

use crate::name_lock::NameLock;
use crate::side_file::SideFile;

/// The holder of one open file, made at its first claim.
#[derive(Debug, Default)]
pub(crate) struct FileHolder(Mutex<Option<(ClaimHolder, NameLock, SideFile)>>);

impl FileHolder {
    /// Returns the holder. Its side file is locked before anything names the holder.
    pub(crate) fn get(&self, database: &Path) -> Result<ClaimHolder, Error> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((holder, ..)) = &*held {
            return Ok(holder.clone());
        }
        let holder = ClaimHolder::unique();
        let file = file_of(database, &holder);
        let lock = NameLock::try_take(&file)?.ok_or_else(|| {
            Error::new(ErrorKind::Other, "lock file of a new holder is locked already")
                .with("file", file.path().display())
        })?;
        *held = Some((holder.clone(), lock, file));
        Ok(holder)
    }

    /// Removes the side file: the claims that are left end.
    pub(crate) fn end(&self) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, lock, file)) = held {
            fs::remove_file(file.path()).ok();
            drop(lock);
        }
    }
}

impl Drop for FileHolder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns whether a holder's process has ended, and then removes its side file. No holder's name is ever used again.
pub(crate) fn has_ended(database: &Path, holder: &ClaimHolder) -> Result<bool, Error> {
    let file = file_of(database, holder);
    if matches!(fs::exists(file.path()), Ok(false)) {
        return Ok(true);
    }
    let Some(lock) = NameLock::try_take(&file)? else { return Ok(false) };
    match fs::remove_file(file.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %file.path().display(), "lock file of an ended process cannot be removed");
        }
        _ => {}
    }
    drop(lock);
    Ok(true)
}

fn file_of(database: &Path, holder: &ClaimHolder) -> SideFile {
    SideFile::beside(database, &format!("{}.holder", holder.as_str()))
}
