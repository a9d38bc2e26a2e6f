//! The statements of the pages about the tree are true.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::tree::{files, link_targets, quoted, read, root};

/// Returns the files of each suite, from the first table of the page.
fn suites(text: &str) -> BTreeMap<&str, Vec<String>> {
    let files = files();
    let table = text.split("\n## ").next().expect("a text has a beginning");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let columns: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
        let [suite, command, folders] = columns[..] else { panic!("{row}") };
        assert!(command.starts_with("`cargo test -p ") && command.ends_with(" NAME`"), "{row}");
        let sources_in = |folder: &str| {
            assert!(root().join(folder).is_dir(), "{folder} is no folder, in {row}");
            let is_source = |file: &&String| file.starts_with(&format!("{folder}/")) && file.ends_with(".rs");
            files.iter().filter(is_source).cloned().collect::<Vec<_>>()
        };
        (suite, folders.split(", ").flat_map(sources_in).collect())
    })
    .collect()
}

/// Returns whether a function is a test, or a case from which a suite generates tests.
fn is_test(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}")).any(|(at, found)| {
        let before = &text[..at];
        let attributes = before.rfind(['}', ';']).map_or(before, |end| &before[end..]);
        let called = text[at + found.len()..].chars().next();
        match called {
            Some('(') => attributes.contains("#[test]") || attributes.contains("#[tokio::test"),
            // Cases are generic over their fixture.
            Some('<') => attributes.contains("pub async"),
            _ => false,
        }
    })
}

/// Checks that the last column of a row names tests of suites, such as **core** `name`, `name`; **file** `name`.
fn assert_tests_exist(row: &str, suites: &BTreeMap<&str, String>) {
    let columns: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [_, _, shown_by] = columns[..] else { panic!("three columns, and not {row}") };
    for part in shown_by.split("; ") {
        let (suite, named) = part
            .strip_prefix("**")
            .and_then(|part| part.split_once("** "))
            .unwrap_or_else(|| panic!("{part:?} begins with no suite, in {row}"));
        let tests = suites.get(suite).unwrap_or_else(|| panic!("there is no suite {suite}, in {row}"));
        assert!(quoted(named).next().is_some(), "{part:?} names no test, in {row}");
        for name in quoted(named) {
            assert!(is_test(tests, name), "docs/guarantees.md: {suite} has no test {name}");
        }
    }
}

/// The archive of a crate has nothing from outside its folder.
#[test]
fn the_command_carries_the_connector_of_connect_config() {
    let carried = read("crates/messagekit-cli/src/connector/outbox-connector.json");
    assert_eq!(
        carried,
        read("connect-config/outbox-connector.json"),
        "copy the file of connect-config there"
    );
}

#[test]
fn every_guarantee_names_tests_of_the_suite_that_runs_them() {
    let text = read("docs/guarantees.md");
    let suites: BTreeMap<&str, String> = suites(&text)
        .into_iter()
        .map(|(suite, sources)| (suite, sources.iter().map(|file| read(file)).collect()))
        .collect();
    let (_, guarantees) = text.split_once("\n## ").expect("the page has sections");
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| guarantee |");
    let rows: Vec<&str> = guarantees.lines().filter(is_row).collect();
    rows.iter().for_each(|row| assert_tests_exist(row, &suites));
    assert!(rows.len() > 100, "the guarantees are {}", rows.len());
}

/// Returns the path of every page in the tree.
fn pages() -> Vec<String> {
    files().into_iter().filter(|file| file.ends_with(".md")).collect()
}

#[test]
fn every_rust_block_of_a_page_is_compiled() {
    let doctests = read("examples/lib.rs");
    let compiled = doctests.split("include_str!(\"../").skip(1).filter_map(|rest| rest.split('"').next());
    let compiled: BTreeSet<String> = compiled.map(str::to_owned).collect();
    // What is ignored there are parts of a program, which a test compares.
    let tests =
        files().into_iter().filter(|file| file.starts_with("examples/tests/")).map(|file| read(&file));
    let tests: String = tests.collect();
    let quotes_a_program = |name: &str| tests.contains(&format!("include_str!(\"../../{name}\")"));
    let mut with_rust = BTreeSet::new();
    for name in pages() {
        let text = read(&name);
        let mut blocks: Vec<&str> =
            text.lines().map(str::trim_start).filter(|line| line.starts_with("```rust")).collect();
        if quotes_a_program(&name) {
            blocks.retain(|line| !line.contains("ignore"));
        }
        assert!(
            !blocks.iter().any(|line| line.contains("ignore")),
            "{name} has a block that is not compiled"
        );
        if !blocks.is_empty() {
            with_rust.insert(name);
        }
    }
    assert_eq!(compiled, with_rust, "examples/lib.rs includes each page with a Rust block, and no other");
}

#[test]
fn every_link_of_the_pages_leads_to_a_file() {
    for name in pages() {
        let text = read(&name);
        let path = root().join(&name);
        let folder = path.parent().expect("a page lies in a folder");
        for target in link_targets(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{name} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let word = |c: char| !(c.is_ascii_lowercase() || c == '_');
    let mut named = 0;
    // The other pages are for contributors, and name tables too.
    let for_operators = |page: &String| page.starts_with("docs/") && !page.starts_with("docs/decisions/");
    for page in pages().into_iter().filter(for_operators) {
        let text = read(&page);
        let metrics = quoted(&text).flat_map(|code| code.split(word)).filter(|name| {
            // A name of two words is a crate or a program.
            let is_crate = || root().join("crates").join(name.replace('_', "-")).exists();
            name.starts_with("messagekit_") && name.matches('_').count() > 1 && !is_crate()
        });
        for name in metrics {
            assert!(messagekit_prometheus::names::ALL.contains(&name), "{page}: there is no metric {name}");
            named += 1;
        }
    }
    assert!(named > 10, "the alerts name metrics");
}

#[test]
fn every_page_of_the_docs_is_in_their_index() {
    let index = read("docs/README.md");
    let pages = pages();
    let indexed = |name: &&str| !name.contains('/') && *name != "README.md";
    for name in pages.iter().filter_map(|name| name.strip_prefix("docs/")).filter(indexed) {
        assert!(index.contains(&format!("]({name})")), "docs/README.md does not lead to {name}");
    }
}

#[test]
fn the_crash_table_of_the_architecture_names_every_point() {
    let architecture = read("ARCHITECTURE.md");
    for point in messagekit::crash::POINTS {
        let (_, step) = point.split_once('.').expect("points are named area.step");
        let named = quoted(&architecture).any(|word| word == point || word.strip_prefix('.') == Some(step));
        assert!(named, "ARCHITECTURE.md does not say what a process leaves behind that is ended at {point}");
    }
}

/// Returns the crates that a package is built with, a line each.
fn crates_of(package: &str) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", package, "-e", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap()
}

#[test]
fn topics_in_a_file_are_built_without_broker_tls_and_http() {
    let crates = crates_of("messagekit-topics");
    let has = |name: &str| crates.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("messagekit-sqlite") && has("libsqlite3-sys"), "the search finds what is there");
    for heavy in
        ["rdkafka", "lapin", "openssl-sys", "rustls", "ring", "hyper", "axum", "reqwest", "sqlx", "sqlx-core"]
    {
        assert!(!has(heavy), "topics are built with {heavy}");
    }
}

#[test]
fn core_depends_on_no_telemetry_library() {
    let crates = crates_of("messagekit");
    assert!(crates.lines().any(|line| line.starts_with("tracing v")), "the search finds what is there");
    let telemetry = |line: &&str| line.contains("opentelemetry") || line.starts_with("tracing-subscriber ");
    assert_eq!(crates.lines().find(telemetry), None);
}
