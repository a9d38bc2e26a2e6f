//! The documents of services that a command reads.

use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};
use messagekit_schema::Contracts;

use super::model::Member;
use crate::input::text_of;

/// The contracts of the services, as their programs print them.
#[derive(Debug, clap::Args)]
pub(super) struct Documents {
    /// The contracts of a service, as its program prints them; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Documents {
    /// Reads the documents, ordered by the names of their services.
    pub(super) fn read(&self) -> Result<Vec<Member>, Error> {
        let mut members = Vec::new();
        for file in &self.files {
            members.push(read(file).map_err(|error| error.with("file", file.display()))?);
        }
        // One result, in whatever order a shell lists the files.
        members.sort_by_cached_key(|member| (member.name().to_owned(), member.contracts.to_text()));
        Ok(members)
    }
}

fn read(file: &Path) -> Result<Member, Error> {
    let refused = |text| Error::new(ErrorKind::InvalidConfiguration, text);
    let text = text_of(file).map_err(|error| refused("contracts cannot be read").caused_by(error))?;
    let contracts = Contracts::read(&text)?;
    match contracts.service() {
        Some(service) => Ok(Member { service: service.clone(), contracts }),
        None => Err(refused("contracts do not say whose they are: print them with Contracts::of_service")),
    }
}
