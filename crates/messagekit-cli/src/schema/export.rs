//! `messagekit schema export`.

use std::path::PathBuf;

use messagekit::{Error, ErrorKind};
use messagekit_schema::Contracts;

use super::check::Mode;
use super::documents::{Current, read};
use crate::output::print;

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    current: Current,
    /// The baseline to extend; it is made if there is none
    #[arg(long)]
    baseline: PathBuf,
    #[command(flatten)]
    mode: Mode,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Error> {
        let current = self.current.read()?;
        let mut baseline = if self.baseline.exists() { read(&self.baseline)? } else { Contracts::new([])? };
        self.mode.compare(&baseline, &current)?;
        let added = baseline.merge(&current)?;
        self.write(&baseline)?;
        print(format!("versions added: {added}, in the baseline: {}", baseline.events().len()))
    }

    /// Replaces the file in one step: a reader finds the old baseline or the new one.
    fn write(&self, baseline: &Contracts) -> Result<(), Error> {
        let beside = self.baseline.with_extension("json.new");
        let written = std::fs::write(&beside, baseline.to_text())
            .and_then(|()| std::fs::rename(&beside, &self.baseline));
        written.map_err(|error| {
            let unwritten = Error::new(ErrorKind::InvalidConfiguration, "the baseline cannot be written");
            unwritten.with("file", self.baseline.display()).caused_by(error)
        })
    }
}
