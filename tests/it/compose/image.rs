//! The contents of the Dockerfile, and the matching facts in the sources.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tree::{read, root};

/// Returns the tag of an image, or `None` without one.
pub(crate) fn tag(image: &str) -> Option<&str> {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    name.split_once(':').map(|(_, tag)| tag)
}

/// Returns whether a tag names one version: 17.10, not 17 and not latest. A date, as in Debian's images, is one too.
pub(crate) fn is_pinned(tag: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = tag.split('-').next().unwrap_or_default();
    let version = version.strip_prefix('v').unwrap_or(version);
    let parts: Vec<&str> = version.split('.').collect();
    parts.len() >= 2 && parts[..2].iter().all(|part| number(part))
        || tag.split('-').any(|part| part.len() == 8 && number(part))
}

/// Returns a version that the native stack pins.
pub(crate) fn stack_version(name: &str) -> String {
    let versions = read("xtask/src/stack/versions.rs");
    let start = format!("const {name}: &str = \"");
    let value = versions.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    value.unwrap_or_else(|| panic!("the native stack pins no {name}")).0.to_owned()
}

/// Returns the image of each stage.
pub(crate) fn bases(dockerfile: &str) -> Vec<&str> {
    dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split_whitespace().next()).collect()
}

/// Returns the packages that the image is built from.
pub(crate) fn packages(dockerfile: &str) -> Vec<&str> {
    let mut words = dockerfile.split_whitespace();
    std::iter::from_fn(|| words.by_ref().find(|word| *word == "--package").and_then(|_| words.next()))
        .collect()
}

/// Returns the programs of the image.
pub(crate) fn programs() -> Vec<String> {
    programs_of(&read("Dockerfile"))
}

/// Returns the programs that a Dockerfile copies into its image.
pub(crate) fn programs_of(dockerfile: &str) -> Vec<String> {
    let built = dockerfile.split_whitespace().filter_map(|word| word.strip_prefix("target/release/"));
    built.map(str::to_owned).collect()
}

/// Returns whether a program has the sections of a file as its settings.
pub(crate) fn reads_file(program: &str) -> bool {
    matches!(program, "messagekit" | "messagekit-bridge")
}

/// Returns whether a program reads a variable. Services list theirs; the command line names its own in its sources.
pub(crate) fn reads(program: &str, key: &str) -> bool {
    match program {
        // Every program begins with messagekit-telemetry.
        _ if key.starts_with("OTEL_") => {
            names(&root().join("crates/messagekit-telemetry/src"), &format!("\"{key}\""))
        }
        // And with its log.
        _ if key == "MESSAGEKIT_LOG" => true,
        "messagekit-orders" => messagekit_orders::SETTINGS.contains(&key),
        "messagekit-billing" => messagekit_billing::SETTINGS.contains(&key),
        "messagekit-shipping" => messagekit_shipping::SETTINGS.contains(&key),
        // The reader of the configuration checks these, together with the file: see `configuration`.
        _ if reads_file(program) && key.contains("__") => true,
        "messagekit" if key == messagekit_postgres::cdc::PASSWORD_VARIABLE => true,
        "messagekit" => names(&root().join("crates/messagekit-cli/src"), &format!("\"{key}\"")),
        _ => false,
    }
}

fn names(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("the folder can be read").any(|entry| {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            names(&path, text)
        } else {
            fs::read_to_string(&path).is_ok_and(|it| it.contains(text))
        }
    })
}

/// Returns the programs of the workspace: package and binary.
pub(crate) fn workspace_programs() -> Vec<(String, String)> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo prints JSON");
    let mut programs = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        for target in package["targets"].as_array().expect("targets") {
            if target["kind"].as_array().expect("kinds").iter().any(|kind| kind == "bin") {
                let text = |value: &Value| value.as_str().expect("a name").to_owned();
                programs.push((text(&package["name"]), text(&target["name"])));
            }
        }
    }
    programs
}
