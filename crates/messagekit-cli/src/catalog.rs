//! `messagekit catalog`.

mod asyncapi;
mod check;
mod documents;
mod envelope;
mod event_page;
mod fields;
mod finding;
mod findings;
mod folder;
mod index_page;
mod limits;
mod markdown;
mod model;
mod names;
mod plain_values;
mod readers;
mod render;
mod sample;
mod schemas;

use messagekit::Error;

/// What services write and read, from the contracts that they print: see docs/catalog.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Catalog {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write an AsyncAPI document and a page for each event into a folder
    Render(render::Render),
    /// Find what no service writes and what a reader cannot read; exit code 1 if there is any
    Check(check::Check),
}

impl Catalog {
    pub(crate) fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Render(render) => render.run(),
            Command::Check(check) => check.run(),
        }
    }
}
