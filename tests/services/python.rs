//! An environment of Python with packages from the package registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Returns the interpreter that has the packages of a list. They are installed once per list, into `folder`.
///
/// # Panics
/// Panics if Python or a package is missing.
pub fn python(folder: &Path, list: &Path) -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().expect("no test has failed to install");
    let wanted = fs::read_to_string(list).expect("a list of packages");
    let mark = folder.join("installed.txt");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        let make = "python3 with its module venv makes an environment: install python3 and python3-venv";
        printed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), make);
        let fetch = "pip fetches packages from the package registry: is it reachable?";
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]);
        printed(pip.arg(list), fetch);
        fs::write(mark, wanted).expect("the environment's folder can be written");
    }
    folder.join("bin/python")
}

/// Returns what a command prints.
///
/// # Panics
/// Panics with `what` and the output if the command fails.
pub fn printed(command: &mut Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    printed
}
