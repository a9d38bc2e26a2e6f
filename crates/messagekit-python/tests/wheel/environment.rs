//! The environment in which the wheels are installed, made once for all tests of this run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::packed::packed;

pub(crate) const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A package of this crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    pub(crate) module: &'static str,
    /// Where its `pyproject.toml` is.
    folder: &'static str,
    /// More bytes than its wheel for users has. That of Kafka has OpenSSL of the machine inside.
    pub(crate) limit: u64,
}

impl Package {
    pub(crate) fn folder(self) -> PathBuf {
        Path::new(HERE).join(self.folder)
    }
}

pub(crate) const PACKAGES: [Package; 2] = [
    Package { module: "messagekit_rs", folder: ".", limit: 5_000_000 },
    Package { module: "messagekit_rs_kafka", folder: "kafka", limit: 6_000_000 },
];
const TOOLS: &str = include_str!("../tools.txt");

/// Returns the folder with all that is made.
pub(crate) fn temporary() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("python")
}

/// Returns a call of the interpreter that has the wheels of this tree.
pub(crate) fn python() -> Command {
    static FRESH: OnceLock<PathBuf> = OnceLock::new();
    let mut python = Command::new(FRESH.get_or_init(installed).join("bin/python"));
    python.env("MESSAGEKIT_PROGRAM", messagekit());
    python
}

/// Returns the path of the program `messagekit`, which serves the tests of the client.
fn messagekit() -> PathBuf {
    // These tests lie in the folder `deps` beside the programs.
    let tests = std::env::current_exe().expect("a program knows its path");
    let program = tests.parent().and_then(Path::parent).expect("it lies in two folders").join("messagekit");
    assert!(program.exists(), "{} is not built: run `cargo build --workspace`", program.display());
    program
}

fn installed() -> PathBuf {
    let wheels = PACKAGES.map(|package| if is_full() { built(package, "dev") } else { packed(package) });
    let fresh = temporary().join("fresh");
    environment(&fresh);
    let mut install = Command::new(fresh.join("bin/pip"));
    install.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]);
    install.arg(Path::new(HERE).join("tests/requirements.txt")).args(wheels);
    run(
        &mut install,
        "pip installs the wheels, and fetches pydantic, polars, pyarrow, marimo, confluent-kafka and pytest from the package registry",
    );
    fresh
}

/// Builds the wheel of a package in a profile, and returns its path.
pub(crate) fn built(package: Package, profile: &str) -> PathBuf {
    let wheels = temporary().join("wheels").join(profile).join(package.module);
    fs::remove_dir_all(&wheels).ok();
    let mut build = Command::new(maturin());
    // Where maturin looks for patchelf.
    let path = std::env::var("PATH").unwrap_or_default();
    build.env("PATH", format!("{}:{path}", tools().join("bin").display()));
    build
        .args(["build", "--profile", profile, "--quiet", "--out"])
        .arg(&wheels)
        .current_dir(package.folder());
    // That of the workspace: what does not depend on features, librdkafka and SQLite above all, is compiled already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    // What an earlier wheel has left there names the libraries inside of that wheel.
    fs::remove_dir_all(target.join("maturin")).ok();
    run(build.env("CARGO_TARGET_DIR", target), "maturin builds the wheel");
    only_file(&wheels)
}

/// Returns the path of maturin.
pub(crate) fn maturin() -> PathBuf {
    tools().join("bin/maturin")
}

/// Returns a command that packs a folder as a wheel.
pub(crate) fn pack() -> Command {
    let mut command = Command::new(tools().join("bin/python"));
    command.args(["-m", "wheel", "pack"]);
    command
}

/// Returns the environment with the tools, which are installed once per version.
fn tools() -> PathBuf {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().expect("no test has failed here");
    let folder = temporary().join("tools");
    let mark = folder.join("installed.txt");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == TOOLS) {
        environment(&folder);
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]);
        pip.arg(Path::new(HERE).join("tests/tools.txt"));
        run(&mut pip, "pip fetches maturin and wheel from the package registry: is it reachable?");
        fs::write(mark, TOOLS).expect("notes what is installed");
    }
    folder
}

/// Returns whether tests run at their stated size.
pub(crate) fn is_full() -> bool {
    std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1")
}

fn environment(folder: &Path) {
    let make = "python3 with its module venv makes an environment: install python3 and python3-venv";
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), make);
}

pub(crate) fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("the folder of wheels is there");
    let wheel = files.next().expect("a wheel was built").expect("it can be listed").path();
    assert!(files.next().is_none(), "there are several wheels in {}", folder.display());
    wheel
}

/// Runs a program to its end, and returns what it has said.
pub(crate) fn run(command: &mut Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}
