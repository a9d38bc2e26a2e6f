//! What the pages say about the tree is true.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_owned()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("the page is there")
}

/// Every Rust source of the workspace in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with(['.', '_']) && !name.starts_with("target") {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            text.push_str(&fs::read_to_string(&path).expect("sources are text"));
        }
    }
}

/// Takes the words in backticks out of a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_promise_of_the_readme_names_a_test_that_exists() {
    let readme = page("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("What is promised"));
    let promises = section.expect("the README lists promises");
    let table: String = promises.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let shown_by: Vec<&str> =
        quoted(&table).filter(|word| word.contains('_') && !word.contains(':')).collect();
    assert!(shown_by.len() >= 8, "each step names its tests: {shown_by:?}");
    let mut text = String::new();
    sources(&root(), &mut text);
    for name in shown_by {
        let defined = text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"));
        assert!(defined, "the README names the test {name}, which is not there");
    }
}

#[test]
fn every_link_of_the_pages_leads_to_a_file() {
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = page(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.contains("://") && !target.starts_with('#') {
                assert!(root().join(target).exists(), "{name} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn the_crash_table_of_the_architecture_names_every_point() {
    let architecture = page("ARCHITECTURE.md");
    for point in messagekit::crash::POINTS {
        let (_, step) = point.split_once('.').expect("points are named area.step");
        let named = quoted(&architecture).any(|word| word == point || word.strip_prefix('.') == Some(step));
        assert!(named, "ARCHITECTURE.md does not say what a process leaves behind that is ended at {point}");
    }
}
