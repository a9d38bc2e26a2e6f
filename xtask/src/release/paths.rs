//! Files and folders, with errors that name them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::stack::folder::remove;

/// Returns the files of a folder by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| failed("list", folder, &error))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|file| Some(file.ok()?.path())).collect();
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// Makes an empty folder, in place of what is there.
pub(super) fn made_anew(folder: &Path) -> Result<(), String> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))
}

pub(super) fn failed(what: &str, path: &Path, error: &dyn fmt::Display) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
