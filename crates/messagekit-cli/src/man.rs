//! `messagekit man`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use messagekit::{Error, ErrorKind};

use crate::output::print;

/// Print the man page of the program, or write a page for each command.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Write all pages into this folder, which is made if it is missing; earlier pages are replaced
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, program: Command) -> Result<(), Error> {
        let program = program.disable_help_subcommand(true);
        match self.out {
            Some(folder) => write(program, &folder).map_err(|error| {
                Error::new(ErrorKind::Unavailable, "man pages cannot be written")
                    .with("path", folder.display())
                    .caused_by(error)
            }),
            None => {
                let mut page = Vec::new();
                of(program).render(&mut page).map_err(|error| {
                    Error::new(ErrorKind::Other, "man page cannot be made").caused_by(error)
                })?;
                print(String::from_utf8_lossy(&page).trim_end())
            }
        }
    }
}

/// Writes the page of the program and of each command below it.
fn write(mut program: Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    program.build();
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned());
        of(command).generate_to(folder)?;
    }
    Ok(())
}

/// Returns the page of a command, with the version of the program at its foot.
fn of(command: Command) -> clap_mangen::Man {
    clap_mangen::Man::new(command)
        .source(concat!("messagekit ", env!("CARGO_PKG_VERSION")))
        .manual("messagekit")
}
