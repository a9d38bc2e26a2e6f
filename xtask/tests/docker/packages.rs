//! A system with Rust and a C compiler, and without the other packages that the build needs.

use std::fs;
use std::path::Path;

use super::{Machine, fakes};

const PACKAGES: &str = "g++ make pkg-config libssl-dev python3 python3-venv curl prometheus";

/// The page is for users who are not root.
#[test]
fn the_contributors_page_names_every_required_package() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md");
    let page = fs::read_to_string(page).unwrap();
    for package in PACKAGES.split(' ') {
        let is_named = page.split(|end: char| end == '`' || end.is_whitespace()).any(|word| word == package);
        assert!(is_named, "{package} is missing");
    }
}

#[test]
fn build_packages_are_installed_as_root_or_named_to_other_users() {
    let machine = Machine::without_engine();
    let mut command = machine.command("check");
    // This system has only the stand-ins.
    let output = command.env("PATH", fakes()).env_remove("OPENSSL_DIR").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let (calls, quiet) = (machine.docker_calls(), "apt-get --quiet --option DPkg::Lock::Timeout=300");
    if rustix::process::geteuid().is_root() {
        assert!(output.status.success(), "{said}");
        assert!(said.starts_with(&format!("installing {} (", PACKAGES.replace(' ', ", "))), "{said}");
        let install = format!("{quiet} install --yes --no-install-recommends {PACKAGES}");
        assert_eq!(calls[..3], [format!("{quiet} update"), install, "cargo fmt --all --check".to_owned()]);
    } else {
        assert!(!output.status.success() && calls.is_empty(), "{said}");
        assert!(
            said.contains(&format!("`sudo apt-get install --no-install-recommends {PACKAGES}`")),
            "{said}"
        );
    }
}
