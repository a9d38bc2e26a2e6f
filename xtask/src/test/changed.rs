//! Which suites a change can break: those of the packages that it touches, and of the packages that depend on them.
//!
//! A suite with a folder of its own is reached alone. One that needs services is left out when the change is in the adapters of
//! other services only. Everything is reached by a file that no rule names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::suites::{Target, Tests, list};
use crate::stack::Service;

/// The package whose suites have a folder each.
const TESTS: &str = "messagekit-tests";

/// The suites that read pages, or every file of the tree.
const READ_PAGES: &[&str] = &["it", "path", "doctor", "postgres"];

/// The adapters of one service. The tests of other services do not run their code.
const ADAPTERS: &[(&str, Service)] = &[
    ("messagekit-postgres", Service::Postgres),
    ("messagekit-kafka", Service::Kafka),
    ("messagekit-rabbitmq", Service::Rabbitmq),
];

/// Packages whose tests start a program without a dependency on its package.
const STARTED: &[(&str, &[&str])] = &[("messagekit-cli", &["messagekit-benches", "messagekit-tests"])];

/// Where a change reaches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// A file that reaches everything.
    everything: Option<PathBuf>,
    /// The packages with a changed file.
    touched: BTreeSet<String>,
    /// Those and all that depend on them.
    packages: BTreeSet<String>,
    /// Folders of suites with a changed file.
    folders: BTreeSet<PathBuf>,
    pages: bool,
}

/// Returns the files that differ from a commit, those that git does not track yet included.
pub(crate) fn files(since: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = git(&["diff", "--name-only", "--no-renames", "-z", since, "--"])?;
    found.extend(git(&["ls-files", "--others", "--exclude-standard", "-z"])?);
    Ok(found)
}

fn git(arguments: &[&str]) -> Result<Vec<PathBuf>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let output = Command::new("git").current_dir(root).args(arguments).output();
    let output = output.map_err(|error| format!("cannot start git: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("git {} failed: {said}", arguments.join(" ")));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split_terminator('\0').map(|name| root.join(name)).collect())
}

impl Reach {
    /// Returns where these files reach. Their paths are absolute, like those of `metadata`.
    pub(crate) fn of(files: &[PathBuf], metadata: &Value) -> Self {
        let root = Path::new(metadata["workspace_root"].as_str().unwrap_or_default());
        let packages = folders_of_packages(metadata);
        let mut reach = Self::default();
        for file in files {
            let package = packages.iter().filter(|(folder, _)| file.starts_with(folder));
            match package.max_by_key(|(folder, _)| folder.as_os_str().len()).map(|(_, name)| name.as_str()) {
                Some("xtask") => reach.everything = Some(file.clone()),
                Some(package) => match folder_of_suite(file, metadata) {
                    Some(folder) => drop(reach.folders.insert(folder)),
                    None => drop(reach.touched.insert(package.to_owned())),
                },
                None if file.starts_with(root.join("docs")) || is_page(file) => reach.pages = true,
                None => reach.everything = Some(file.clone()),
            }
        }
        reach.packages = with_dependents(&reach.touched, metadata);
        reach
    }

    /// Returns whether the tests of a target can be broken.
    pub(crate) fn includes(&self, tests: &Tests) -> bool {
        let Target { package, name, .. } = &tests.target;
        let reads = self.pages && package == TESTS && READ_PAGES.contains(&name.as_str());
        let in_folder = tests.source.parent().is_some_and(|folder| self.folders.contains(folder));
        // One suite reads every file of the tree.
        let reads_all = package == TESTS && name == "it";
        self.everything.is_some()
            || reads
            || in_folder
            || reads_all
            || (self.packages.contains(package) && (self.touched.contains(package) || self.is_run_by(tests)))
    }

    /// Returns whether examples in the documentation can be broken.
    pub(crate) fn includes_documentation(&self) -> bool {
        self.everything.is_some() || self.pages || !self.packages.is_empty()
    }

    /// Returns whether tests that depend on what was touched run its code.
    fn is_run_by(&self, tests: &Tests) -> bool {
        let service = |package: &String| ADAPTERS.iter().find(|(name, _)| name == package).map(|(_, of)| of);
        let mut touched = self.touched.iter().map(service);
        tests.needs.is_empty() || touched.any(|of| of.is_none_or(|service| tests.needs.contains(service)))
    }
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "md")
}

/// Returns the folder of the suite to which a file of the tests belongs. Files that several suites use belong to none.
fn folder_of_suite(file: &Path, metadata: &Value) -> Option<PathBuf> {
    let tests = list(&metadata["packages"]).iter().find(|package| package["name"] == TESTS)?;
    let suites = list(&tests["targets"]).iter().filter(|target| target["test"] == true);
    let folders = suites
        .filter(|target| target["kind"][0] == "test")
        .filter_map(|target| Path::new(target["src_path"].as_str()?).parent());
    folders.into_iter().find(|folder| file.starts_with(folder)).map(Path::to_owned)
}

fn folders_of_packages(metadata: &Value) -> Vec<(PathBuf, String)> {
    let packages = list(&metadata["packages"]).iter().filter_map(|package| {
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
        Some((folder.to_owned(), package["name"].as_str()?.to_owned()))
    });
    packages.collect()
}

/// Returns packages and all that depend on them, also for their tests, or start their programs.
fn with_dependents(packages: &BTreeSet<String>, metadata: &Value) -> BTreeSet<String> {
    let started = STARTED.iter().map(|(package, by)| (*package, by.to_vec()));
    let mut dependents: BTreeMap<&str, Vec<&str>> = started.collect();
    for package in list(&metadata["packages"]) {
        for needed in list(&package["dependencies"]).iter().filter(|needed| needed["path"].is_string()) {
            let of = dependents.entry(needed["name"].as_str().unwrap_or_default()).or_default();
            of.extend(package["name"].as_str());
        }
    }
    let (mut reached, mut next) = (packages.clone(), packages.iter().cloned().collect::<Vec<_>>());
    while let Some(package) = next.pop() {
        for dependent in dependents.get(package.as_str()).into_iter().flatten() {
            if reached.insert((*dependent).to_owned()) {
                next.push((*dependent).to_owned());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members;
    use crate::test::suites::expected;

    /// Returns the suites that files reach, without the one that reads every file.
    fn reached(files: &[&str]) -> BTreeSet<String> {
        let metadata = members::metadata().expect("cargo metadata works");
        let root = Path::new(metadata["workspace_root"].as_str().expect("a path"));
        let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
        let reach = Reach::of(&files, &metadata);
        let all = expected(&metadata, &Service::ALL).into_iter().filter(|tests| reach.includes(tests));
        let mut names: BTreeSet<String> = all.map(|tests| tests.target.to_string()).collect();
        assert!(names.remove("messagekit-tests: it"), "it is always run");
        names
    }

    #[test]
    fn a_file_of_one_suite_reaches_that_suite_alone() {
        assert_eq!(reached(&["tests/relay/storm.rs"]), ["messagekit-tests: relay".to_owned()].into());
        assert!(reached(&["tests/services/services.rs"]).len() > 8);
    }

    #[test]
    fn a_change_of_core_reaches_everything_but_the_tools() {
        let metadata = members::metadata().expect("cargo metadata works");
        let all = expected(&metadata, &Service::ALL).len() - 1;
        let of_core = reached(&["crates/messagekit/src/lib.rs"]);
        assert!(of_core.contains("messagekit-tests: rabbitmq") && of_core.len() + 6 > all, "{of_core:?}");
        assert!(!of_core.iter().any(|name| name.starts_with("xtask")));
        for file in ["Cargo.lock", "xtask/src/main.rs", "migrations/postgres/0012_schema.sql"] {
            assert_eq!(reached(&[file]).len(), all, "{file}");
        }
    }

    #[test]
    fn an_adapter_reaches_its_users_and_no_suite_of_another_service() {
        let of_rabbit = reached(&["crates/messagekit-rabbitmq/src/lib.rs"]);
        for name in
            ["messagekit-rabbitmq: lib messagekit_rabbitmq", "messagekit-tests: bridge", "messagekit-cli: it"]
        {
            assert!(of_rabbit.contains(name), "{name}: {of_rabbit:?}");
        }
        for name in ["messagekit-tests: postgres", "messagekit-tests: kafka", "messagekit-sqlite: it"] {
            assert!(!of_rabbit.contains(name), "{name}");
        }
    }

    #[test]
    fn a_program_reaches_the_suites_that_start_it() {
        let of_program = reached(&["crates/messagekit-cli/src/main.rs"]);
        for name in ["messagekit-cli: it", "messagekit-tests: relay", "messagekit-benches: broker_cells"] {
            assert!(of_program.contains(name), "{name}: {of_program:?}");
        }
        assert!(!of_program.contains("messagekit-sqlite: it"), "{of_program:?}");
    }

    #[test]
    fn a_page_reaches_what_reads_pages() {
        let of_page = reached(&["docs/tuning.md"]);
        assert_eq!(
            of_page,
            ["doctor", "path", "postgres"].map(|name| format!("messagekit-tests: {name}")).into()
        );
        assert_eq!(reached(&["README.md"]), of_page);
        assert_eq!(reached(&[]), BTreeSet::new());
    }
}
