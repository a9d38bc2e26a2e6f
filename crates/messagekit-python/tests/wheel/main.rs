//! Packs or builds the wheels, installs them into a fresh environment, and runs the tests in Python there.

mod beside_python;
mod environment;
mod packed;

use std::fs;
use std::path::Path;

use environment::{HERE, PACKAGES, built, is_full, python, run, temporary};

#[test]
fn the_wheel_is_installed_and_tested() {
    let here = Path::new(HERE);
    // From a folder without the sources, which would hide what the wheel lacks.
    let mut test = python();
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir"]).arg(here).arg("--config-file");
    test.arg(here.join("pyproject.toml")).arg(here.join("tests")).current_dir(temporary());
    let said = run(&mut test, "the tests of the wheel pass");
    println!("{said}");
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}

/// Compiles everything again with optimisation, for which the gate has no time.
#[test]
fn each_release_wheel_is_small() {
    if !is_full() {
        return;
    }
    for package in PACKAGES {
        let wheel = built(package, "wheel");
        let bytes = fs::metadata(&wheel).expect("it was built").len();
        println!("{}: {bytes} bytes", wheel.display());
        assert!(bytes < package.limit, "{} has {bytes} bytes", wheel.display());
    }
}
