//! Pages for contributors name existing files, and list every decision.

use crate::tree::{files, link_targets, quoted, read, root};

/// Returns the pages for contributors. Their paths are relative to the root, to the crates or to the sources of the core.
fn contributors_pages() -> Vec<String> {
    let is_one = |file: &String| {
        ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md"].contains(&file.as_str())
            || file.starts_with("docs/decisions/")
    };
    files().into_iter().filter(is_one).collect()
}

#[test]
fn every_path_of_the_contributors_pages_exists() {
    let ends = [".json", ".md", ".rs", ".sql", ".toml", ".yml"];
    let is_path = |word: &&str| {
        let is_plain = !word.contains([' ', ':', '<', '*']) && !word.starts_with("target/");
        is_plain && (word.contains('/') || ends.iter().any(|end| word.ends_with(end)))
    };
    let (mut count, mut missing) = (0, Vec::new());
    for page in contributors_pages() {
        let prose: String = read(&page).split("```").step_by(2).collect();
        for path in quoted(&prose).filter(is_path) {
            let folders = ["", "crates", "crates/messagekit/src"];
            if !folders.iter().any(|folder| root().join(folder).join(path).exists()) {
                missing.push(format!("{page} names {path}"));
            }
            count += 1;
        }
    }
    assert!(missing.is_empty(), "these files are not there:\n{}", missing.join("\n"));
    assert!(count > 150, "the pages name {count} paths");
}

#[test]
fn every_decision_is_listed_and_has_its_four_parts() {
    let index = read("docs/decisions/README.md");
    let pages =
        files().into_iter().filter_map(|file| file.strip_prefix("docs/decisions/").map(str::to_owned));
    let pages: Vec<String> = pages.filter(|page| page != "README.md").collect();
    for (number, page) in (1..).zip(&pages) {
        assert!(page.starts_with(&format!("{number:04}-")), "{page} is number {number}");
        assert!(index.contains(&format!("]({page})")), "docs/decisions/README.md does not list {page}");
        let text = read(&format!("docs/decisions/{page}"));
        let parts: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(parts, ["## Context", "## Decision", "## Alternatives", "## Consequences"], "{page}");
        for target in link_targets(&text) {
            let exists = target.contains("://") || root().join("docs/decisions").join(target).exists();
            assert!(exists, "{page} links to {target}, which is not there");
        }
    }
    assert!(pages.len() > 50, "there are {} decisions", pages.len());
}
