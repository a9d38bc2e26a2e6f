//! The folder of a catalog, of which only the files of this command are touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};

/// The files of a catalog, by their paths in its folder.
pub(super) type Files = BTreeMap<String, String>;

/// Stands in every file that this command writes.
pub(super) const MARK: &str = "written by messagekit catalog render: changes are lost";

/// The folder of the pages of events.
pub(super) const EVENTS: &str = "events";

/// How many files were changed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) written: usize,
    pub(super) removed: usize,
}

/// Writes files whose content is new, and removes pages of events that are gone. A file that another program wrote is neither replaced nor removed.
pub(super) fn write(folder: &Path, files: &Files) -> Result<Outcome, Error> {
    fs::create_dir_all(folder.join(EVENTS)).map_err(|error| unwritten(folder, error))?;
    check_is_own(&folder.join(EVENTS))?;
    let mut changed = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        match content(&path)? {
            Some(before) if before == *text => {}
            Some(before) if !is_ours(&path, &before) => return Err(foreign(&path)),
            _ => changed.push((path, text)),
        }
    }
    let stale = stale(folder, files)?;
    let outcome = Outcome { written: changed.len(), removed: stale.len() };
    for (path, text) in changed {
        replace(&path, text).map_err(|error| unwritten(&path, error))?;
    }
    for file in stale {
        let path = folder.join(file);
        fs::remove_file(&path).map_err(|error| unwritten(&path, error))?;
    }
    Ok(outcome)
}

/// Returns the files that differ from those of a catalog, with what is wrong.
pub(super) fn outdated(folder: &Path, files: &Files) -> Result<Vec<(String, &'static str)>, Error> {
    let mut found = Vec::new();
    for (file, text) in files {
        match content(&folder.join(file))? {
            Some(before) if before == *text => {}
            Some(_) => found.push((file.clone(), "is not up to date")),
            None => found.push((file.clone(), "is missing")),
        }
    }
    found.extend(stale(folder, files)?.into_iter().map(|file| (file, "is of an event that is gone")));
    Ok(found)
}

/// Returns the pages that this command wrote for events that are gone.
fn stale(folder: &Path, files: &Files) -> Result<Vec<String>, Error> {
    let pages = folder.join(EVENTS);
    let listed = match fs::read_dir(&pages) {
        Err(error) if error.kind() == Io::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|error| unread(&pages, error))?,
    };
    let mut stale = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| unread(&pages, error))?;
        let is_file = entry.file_type().map_err(|error| unread(&pages, error))?.is_file();
        let Some(name) = entry.file_name().to_str().map(|name| format!("{EVENTS}/{name}")) else { continue };
        let path = entry.path();
        if !is_file || !name.ends_with(".md") || files.contains_key(&name) {
            continue;
        }
        if content(&path)?.is_some_and(|text| is_ours(&path, &text)) {
            stale.push(name);
        }
    }
    stale.sort();
    Ok(stale)
}

/// Returns the text of a file, or `None` without one. What is no file, or no text, is refused as not written here.
fn content(path: &Path) -> Result<Option<String>, Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == Io::NotFound => return Ok(None),
        Err(error) => return Err(unread(path, error)),
        Ok(found) if !found.is_file() => return Err(foreign(path)),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(|error| unread(path, error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns whether this command wrote a file: a page says so in its first line, a document of JSON in a field.
fn is_ours(path: &Path, text: &str) -> bool {
    let is_page = path.extension().is_some_and(|extension| extension == "md");
    let marked = if is_page { text.lines().next().unwrap_or_default() } else { text };
    marked.contains(MARK)
}

/// Refuses a link in place of the folder of pages: it would lead the pages out of the catalog.
fn check_is_own(pages: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(pages).map_err(|error| unread(pages, error))?;
    if found.is_dir() { Ok(()) } else { Err(foreign(pages)) }
}

/// Replaces a file in one step: a reader finds the old text or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

fn foreign(path: &Path) -> Error {
    let text = "this command did not write what is there: take another folder, or move it away";
    Error::new(ErrorKind::InvalidConfiguration, text).with("file", path.display())
}

fn unread(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "the catalog cannot be read")
        .with("file", path.display())
        .caused_by(error)
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "the catalog cannot be written")
        .with("file", path.display())
        .caused_by(error)
}
