//! Builds the wheel, installs it into a fresh environment, and runs the tests in Python there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MATURIN: &str = "maturin==1.16.0";

#[test]
fn the_wheel_is_built_installed_and_tested() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let maturin = maturin(&temporary.join("tools"));
    let (wheels, fresh) = (temporary.join("wheels"), temporary.join("fresh"));
    fs::remove_dir_all(&wheels).ok();
    // A target folder of its own: the features of the whole workspace are others.
    let mut build = Command::new(maturin);
    build.args(["build", "--profile", "dev", "--quiet", "--out"]).arg(&wheels).current_dir(here);
    run(build.env("CARGO_TARGET_DIR", temporary.join("target")), "maturin builds the wheel");

    environment(&fresh);
    let mut install = Command::new(fresh.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    install.arg(here.join("tests/requirements.txt")).arg(only_file(&wheels));
    run(
        &mut install,
        "pip installs the wheel, and fetches pydantic, polars and pytest from the package registry",
    );
    // From a folder without the sources, which would hide what the wheel lacks.
    let mut test = Command::new(fresh.join("bin/python"));
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir"]).arg(here).arg("--config-file");
    test.arg(here.join("pyproject.toml")).arg(here.join("tests")).current_dir(&temporary);
    let said = run(&mut test, "the tests of the wheel pass");
    println!("{said}");
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}

/// Returns the path of maturin, which is installed once per version.
fn maturin(folder: &Path) -> PathBuf {
    let mark = folder.join("installed.txt");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == MATURIN) {
        environment(folder);
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", MATURIN]);
        run(&mut pip, "pip fetches maturin from the package registry: is it reachable?");
        fs::write(mark, MATURIN).expect("notes what is installed");
    }
    folder.join("bin/maturin")
}

fn environment(folder: &Path) {
    let make = "python3 with its module venv makes an environment: install python3 and python3-venv";
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), make);
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("the folder of wheels is there");
    let wheel = files.next().expect("a wheel was built").expect("it can be listed").path();
    assert!(files.next().is_none(), "there are several wheels in {}", folder.display());
    wheel
}

fn run(command: &mut Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}
