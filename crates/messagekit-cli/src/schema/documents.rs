//! The documents of contracts that a command reads.

use std::io;
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};
use messagekit_schema::Contracts;

use crate::input::text_of;

/// The document of a service: what its `EventRegistry` gives, see docs/event-schemas.md.
#[derive(Debug, clap::Args)]
pub(super) struct Current {
    /// The contracts of the service, as its program prints them; `-` reads standard input
    current: PathBuf,
}

impl Current {
    pub(super) fn read(&self) -> Result<Contracts, Error> {
        parse(&self.current, text_of(&self.current))
    }
}

/// Reads a document of contracts.
pub(super) fn read(path: &Path) -> Result<Contracts, Error> {
    parse(path, std::fs::read_to_string(path))
}

fn parse(path: &Path, text: io::Result<String>) -> Result<Contracts, Error> {
    let contracts = text
        .map_err(|error| {
            Error::new(ErrorKind::InvalidConfiguration, "contracts cannot be read").caused_by(error)
        })
        .and_then(|text| Contracts::read(&text));
    contracts.map_err(|error| error.with("file", path.display()))
}
