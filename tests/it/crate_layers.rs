//! No crate depends on one that is above it in the map of ARCHITECTURE.md.

use std::collections::BTreeMap;

use crate::tree::{files, read};

/// Returns the line of each crate in the map.
fn layers(map: &str) -> BTreeMap<String, usize> {
    let block = map.split("```text\nmessagekit-macros").nth(1).expect("the map has the layers of the crates");
    let block = format!("messagekit-macros{}", block.split("```").next().unwrap_or_default());
    let lines = block.lines().enumerate();
    lines.flat_map(|(line, names)| names.split(", ").map(move |name| (name.to_owned(), line))).collect()
}

/// Returns the crates of this workspace that a manifest names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]"));
    let names = section.unwrap_or_default().lines().filter_map(|line| line.split(['.', ' ']).next());
    names.filter(|name| name.starts_with("messagekit")).collect()
}

#[test]
fn a_crate_depends_on_lower_crates_alone() {
    let layers = layers(&read("ARCHITECTURE.md"));
    let mut crates = 0;
    for file in files() {
        let Some(name) = file.strip_prefix("crates/").and_then(|file| file.strip_suffix("/Cargo.toml"))
        else {
            continue;
        };
        crates += 1;
        let own = layers.get(name).unwrap_or_else(|| panic!("{name} is not in the map"));
        for dependency in dependencies(&read(&file)) {
            assert!(layers[dependency] < *own, "{name} depends on {dependency}, which is not below it");
        }
    }
    assert_eq!(crates, layers.len(), "the map names other crates than there are");
}

#[test]
fn only_the_dependencies_of_a_program_count() {
    let manifest = "[package]\nname = \"messagekit-a\"\n\n[dependencies]\nmessagekit.workspace = true\n\
        messagekit-b = { workspace = true }\nserde.workspace = true\n\n[dev-dependencies]\nmessagekit-c.workspace = true\n";
    assert_eq!(dependencies(manifest), ["messagekit", "messagekit-b"]);
}
