//! What the pages say about the tree is true.

use std::collections::BTreeMap;
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

/// Every test that a text names: the words in backticks with underscores, and nothing that is a path or a call.
fn tests_named(text: &str) -> Vec<&str> {
    let is_name = |word: &&str| {
        word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    quoted(text).filter(is_name).collect()
}

fn assert_all_exist(page: &str, named: &[&str]) {
    let mut text = String::new();
    sources(&root(), &mut text);
    for name in named {
        let defined = text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"));
        assert!(defined, "{page} names the test {name}, which is not there");
    }
}

#[test]
fn every_promise_of_the_readme_names_a_test_that_exists() {
    let readme = page("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("What is promised"));
    let promises = section.expect("the README lists promises");
    let rows: Vec<&str> = promises.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 9, "each step has a row: {rows:?}");
    for row in &rows {
        let shown_by = row.split(" | ").nth(2).map_or(Vec::new(), tests_named);
        assert!(!shown_by.is_empty(), "no test shows what is promised in {row}");
        assert_all_exist("README.md", &shown_by);
    }
}

/// How many failures of each failed message are known.
const KNOWN: [(&str, usize); 3] = [("L", 10), ("B", 16), ("R", 16)];

/// What makes a row without a test right: there is nothing yet that could fail so.
const LATER: [&str; 4] =
    ["there is no catalogue yet", "there is no bus", "there is no such check yet", "the compiler checks"];

#[test]
fn every_known_failure_is_ruled_out_by_a_test_that_exists_or_by_a_reason() {
    let text = page("docs/ruled-out.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect())
        .collect();
    let wanted: Vec<String> = KNOWN
        .iter()
        .flat_map(|(failed_message, last)| (1..=*last).map(move |number| format!("{failed_message}{number}")))
        .collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), wanted);
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
        let named = tests_named(row[2]);
        assert!(
            !named.is_empty() || LATER.iter().any(|reason| row[2].contains(reason)),
            "nothing rules out {row:?}"
        );
    }
    assert_all_exist("docs/ruled-out.md", &tests_named(&text));
}

/// What makes a row of docs/promises.md right that names no test.
const WITHOUT_A_TEST: [&str; 3] = ["**only documented**", "**not ours**", "**not there**"];

/// Where the tests of each suite are, as the page's own table says.
fn suites(text: &str) -> BTreeMap<&str, Vec<PathBuf>> {
    let table = text.split("\n## ").next().expect("a text has a beginning");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let columns: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
        let [suite, command, folders] = columns[..] else { panic!("{row}") };
        assert!(command.starts_with("`cargo test -p ") && command.ends_with(" NAME`"), "{row}");
        (suite, folders.split(", ").map(|folder| root().join(folder)).collect())
    })
    .collect()
}

/// Returns whether a function is a test, or a case that a suite makes tests of.
fn is_test(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}")).any(|(at, found)| {
        let before = &text[..at];
        let attributes = before.rfind(['}', ';']).map_or(before, |end| &before[end..]);
        let called = text[at + found.len()..].chars().next();
        match called {
            Some('(') => attributes.contains("#[test]") || attributes.contains("#[tokio::test"),
            // Cases are generic over what they are run with.
            Some('<') => attributes.contains("pub async"),
            _ => false,
        }
    })
}

#[test]
fn every_pitfall_names_tests_of_the_suite_that_runs_them() {
    let text = page("docs/promises.md");
    let suites: BTreeMap<&str, String> = suites(&text)
        .into_iter()
        .map(|(suite, folders)| {
            let mut all = String::new();
            folders.iter().for_each(|folder| sources(folder, &mut all));
            (suite, all)
        })
        .collect();
    let mut rows = 0;
    for section in text.split("\n## ").skip(1) {
        for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let columns: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let [_, here, shown_by] = columns[..] else { panic!("three columns, and not {row}") };
            assert!(
                !shown_by.is_empty() || WITHOUT_A_TEST.iter().any(|reason| here.contains(reason)),
                "nothing shows what holds in {row}"
            );
            for part in shown_by.split("; ").filter(|part| !part.is_empty()) {
                let (suite, named) = part
                    .strip_prefix("**")
                    .and_then(|part| part.split_once("** "))
                    .unwrap_or_else(|| panic!("{part} begins with no suite"));
                let tests = suites.get(suite).unwrap_or_else(|| panic!("there is no suite {suite}"));
                let named = tests_named(named);
                assert!(!named.is_empty(), "{part} names no test");
                for name in named {
                    assert!(is_test(tests, name), "docs/promises.md: {suite} has no test {name}");
                }
            }
            rows += 1;
        }
    }
    assert!(rows > 50, "the pitfalls are {rows}");
}

/// The pages that people read.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = [
        "README",
        "ARCHITECTURE",
        "CONTRIBUTING",
        "SECURITY",
        "CHANGELOG",
        "deploy/README",
        "examples/README",
    ]
    .map(|name| format!("{name}.md"))
    .to_vec();
    for entry in fs::read_dir(root().join("docs")).expect("there are docs") {
        let name = entry.expect("the folder can be read").file_name();
        let name = name.to_str().expect("a name of text");
        // Folders hold pictures.
        if !root().join("docs").join(name).is_dir() {
            pages.push(format!("docs/{name}"));
        }
    }
    pages
}

#[test]
fn every_link_of_the_pages_leads_to_a_file() {
    for name in pages() {
        let text = page(&name);
        let path = root().join(&name);
        let folder = path.parent().expect("a page lies in a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{name} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn every_figure_that_the_pages_tell_of_is_one() {
    let word = |c: char| !(c.is_ascii_lowercase() || c == '_');
    let mut told = 0;
    // The other pages are for those who build it, and name tables too.
    for page in pages().into_iter().filter(|page| page.starts_with("docs/")) {
        let text = self::page(&page);
        let figures = quoted(&text).flat_map(|code| code.split(word)).filter(|name| {
            // Crates have no more than two words.
            name.starts_with("messagekit_") && name.matches('_').count() > 1
        });
        for name in figures {
            assert!(messagekit::metrics::names::ALL.contains(&name), "{page}: there is no figure {name}");
            told += 1;
        }
    }
    assert!(told > 10, "the alerts are told");
}

#[test]
fn every_page_of_the_docs_is_in_their_index() {
    let index = page("docs/README.md");
    for name in
        pages().iter().filter_map(|name| name.strip_prefix("docs/")).filter(|name| *name != "README.md")
    {
        assert!(index.contains(&format!("]({name})")), "docs/README.md does not lead to {name}");
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
