//! The documents of contracts that a command reads.

use std::io::Read;
use std::path::{Path, PathBuf};

use messagekit::schema::Contracts;
use messagekit::{Error, ErrorKind};

/// The document of a service: what its `EventRegistry` gives, see docs/event-schemas.md.
#[derive(Debug, clap::Args)]
pub(super) struct Current {
    /// The contracts of the service, as its program prints them; `-` reads standard input
    current: PathBuf,
}

impl Current {
    pub(super) fn read(&self) -> Result<Contracts, Error> {
        if self.current != Path::new("-") {
            return read(&self.current);
        }
        let mut text = String::new();
        let taken = std::io::stdin().read_to_string(&mut text);
        taken.map_err(|error| unreadable(&self.current).caused_by(error))?;
        parse(&self.current, &text)
    }
}

/// Reads a document of contracts.
pub(super) fn read(path: &Path) -> Result<Contracts, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path).caused_by(error))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Contracts, Error> {
    Contracts::read(text).map_err(|error| error.with("file", path.display()))
}

fn unreadable(path: &Path) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "contracts cannot be read").with("file", path.display())
}
