//! `messagekit catalog render`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use messagekit::{Error, ErrorKind};

use super::documents::Documents;
use super::folder::{self, Files};
use super::model::{Member, events, same_names};
use super::{asyncapi, event_page, index_page, markdown};
use crate::output::print;

#[derive(Debug, clap::Args)]
pub(super) struct Render {
    #[command(flatten)]
    documents: Documents,
    /// The folder to write; files in it that this command did not write stay as they are
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

impl Render {
    pub(super) fn run(self) -> Result<(), Error> {
        let members = self.documents.read()?;
        let files = files(&members)?;
        let outcome = folder::write(&self.to, &files)?;
        print(format!("{} files, {} written, {} removed", files.len(), outcome.written, outcome.removed))
    }
}

/// Returns every file of the catalog, by its path in the folder.
pub(super) fn files(members: &[Member]) -> Result<Files, Error> {
    if let Some(name) = same_names(members).first() {
        let text = "several documents name one service: give one for each";
        return Err(Error::new(ErrorKind::SchemaMismatch, text).with("service", name));
    }
    let events = events(members)?;
    let mut files = BTreeMap::new();
    let document = markdown::json(&asyncapi::document(members, &events)?);
    files.insert("asyncapi.json".to_owned(), document + "\n");
    files.insert("README.md".to_owned(), index_page::text(members, &events));
    for event in &events {
        files.insert(event_page::path(event.event_type), event_page::text(event));
    }
    Ok(files)
}
