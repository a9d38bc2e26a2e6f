//! Confirmation before a large change.

use std::io::{self, IsTerminal};

use messagekit::{Error, ErrorKind};

/// Returns after a confirmation: `--yes`, or an answer on the terminal.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = format!("{what}: nobody can be asked here, write --yes to confirm");
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    eprint!("{what}? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" if read.is_ok() => Ok(()),
        _ => Err(Error::new(ErrorKind::WrongState, "not confirmed: nothing was done")),
    }
}
