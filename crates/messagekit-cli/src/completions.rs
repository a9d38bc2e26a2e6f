//! `messagekit completions`.

use clap_complete::Shell;
use messagekit::Error;

use crate::output::print;

/// Print the completions of commands and options for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell that reads them
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut program: clap::Command) -> Result<(), Error> {
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        print(String::from_utf8_lossy(&script).trim_end())
    }
}
