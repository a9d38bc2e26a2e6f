//! `messagekit catalog check`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use messagekit::{Error, ErrorKind};

use super::documents::Documents;
use super::finding::{Finding, NONE};
use super::findings::Findings;
use super::folder::outdated;
use super::model::{same_names, types};
use super::render::files;
use crate::output::{print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    documents: Documents,
    /// An event type that another system writes; repeat it for several
    #[arg(long, value_name = "TYPE")]
    external: Vec<String>,
    /// A folder that `render` has written: fail if it is not up to date
    #[arg(long)]
    folder: Option<PathBuf>,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Error> {
        let members = self.documents.read()?;
        let external: BTreeSet<&str> = self.external.iter().map(String::as_str).collect();
        let mut found = Findings::of(&members, &external)?;
        // Without one document for each service there is no folder to compare with.
        if let Some(folder) = self.folder.as_ref().filter(|_| same_names(&members).is_empty()) {
            let outdated = outdated(folder, &files(&members)?)?;
            found.problems.extend(outdated.into_iter().map(|(file, problem)| Finding {
                event: NONE.to_owned(),
                service: NONE.to_owned(),
                versions: NONE.to_owned(),
                problem: format!("{file} {problem}"),
                repair:
                    "run messagekit catalog render with the same documents, and commit the folder".to_owned(),
            }));
        }
        if self.json {
            print(serde_json::to_string(&found).expect("texts can be written as JSON"))?;
        } else {
            if !(found.problems.is_empty() && found.warnings.is_empty()) {
                print(rows(&found))?;
            }
            if found.problems.is_empty() {
                let (services, events) = (members.len(), types(&members).len());
                print(format!(
                    "no problems, {} warnings, {services} services, {events} events",
                    found.warnings.len()
                ))?;
            }
        }
        match found.problems.len() {
            0 => Ok(()),
            count => Err(Error::new(ErrorKind::SchemaMismatch, format!("{count} problems between services"))),
        }
    }
}

fn rows(found: &Findings) -> comfy_table::Table {
    let mut rows = table(&["", "event", "service", "versions", "problem", "what to do"]);
    let levels = [("problem", &found.problems), ("warning", &found.warnings)];
    for (level, findings) in levels {
        for Finding { event, service, versions, problem, repair } in findings {
            rows.add_row([level, event, service, versions, problem, repair].map(printable));
        }
    }
    rows
}
