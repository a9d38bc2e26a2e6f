//! What the README says about a project of one's own is tried as it stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::tree::root;

/// Returns the first block of a language.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, from) = page.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language}"));
    from.split_once("```").unwrap().0
}

#[test]
fn the_program_of_the_readme_builds_beside_a_clone() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let project = TempDir::new().unwrap();
    let crates = root().join("crates").display().to_string();
    let dependencies = block(&readme, "toml");
    assert!(dependencies.contains("\"../messagekit/crates/"), "{dependencies}");
    let package = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n";
    let manifest = package.to_owned() + &dependencies.replace("../messagekit/crates", &crates);
    fs::create_dir(project.path().join("src")).unwrap();
    fs::write(project.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(project.path().join("src/main.rs"), block(&readme, "rust,no_run")).unwrap();
    // The versions that this workspace has downloaded.
    fs::copy(root().join("Cargo.lock"), project.path().join("Cargo.lock")).unwrap();

    // The folder and the debug information of the workspace: about half of the packages is checked there already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With the variables of a test, build scripts of the workspace would run again, now and in its next build.
    let of_tests = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in of_tests.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        cargo.env_remove(name);
    }
    cargo.args(["check", "--offline", "--quiet"]).current_dir(project.path());
    let built = cargo.env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "0").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}
