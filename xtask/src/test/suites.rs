//! The suites of the workspace: one for each target with tests. Compares the built ones with the expected ones.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::stack::Service;

/// A library, a program or a test of a package, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) package: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A target with tests.
#[derive(Clone, Debug)]
pub(crate) struct Tests {
    pub(crate) target: Target,
    /// The services that they need.
    pub(crate) needs: Vec<Service>,
    /// How many run at once, if not one per core: `package.metadata.threads` of the manifest.
    pub(crate) threads: Option<u64>,
    /// Its first source file.
    pub(crate) source: PathBuf,
}

/// Tests that were built, or another test command.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) tests: Tests,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) folder: PathBuf,
    /// Variables that are set, or removed. A test program gets what cargo sets for it; cargo itself gets none of it, and nothing of this
    /// program either: build scripts look at it, and would run again.
    pub(crate) env: Vec<(OsString, Option<OsString>)>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.as_str() {
            "test" => write!(f, "{}: {}", self.package, self.name),
            kind => write!(f, "{}: {kind} {}", self.package, self.name),
        }
    }
}

impl Target {
    fn read(package: &str, target: &Value) -> Option<Self> {
        let (kind, name) = (target["kind"][0].as_str()?, target["name"].as_str()?);
        Some(Self { package: package.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
    }

    /// Returns the target that the examples in the documentation stand for.
    pub(crate) fn documentation() -> Self {
        Self { package: "workspace".into(), kind: "test".into(), name: "documentation".into() }
    }
}

/// Returns every target with tests, except those that need a service that does not run.
pub(crate) fn expected(metadata: &Value, services: &[Service]) -> Vec<Tests> {
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default();
        for target in list(&package["targets"]).iter().filter(|target| target["test"] == true) {
            // A feature that is no service is on by default.
            let needs = list(&target["required-features"]).iter().filter_map(Service::named);
            let needs: Vec<Service> = needs.collect();
            let Some(read) = Target::read(name, target) else { continue };
            if needs.iter().all(|need| services.contains(need)) {
                let threads = package["metadata"]["threads"][&read.name].as_u64();
                let source = target["src_path"].as_str().unwrap_or_default().into();
                found.push(Tests { target: read, needs, threads, source });
            }
        }
    }
    found
}

/// Returns the suites among the messages of a build. What was built beside them is left out.
///
/// # Errors
/// Returns an error when one was not built: a run must not pass with missing tests.
pub(crate) fn built(
    metadata: &Value,
    messages: &str,
    mut expected: Vec<Tests>,
) -> Result<Vec<Suite>, String> {
    let mut suites = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(program) = message["executable"].as_str() else { continue };
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            continue;
        }
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        let package = list(&metadata["packages"]).iter().find(|package| package["manifest_path"] == manifest);
        let package = package.and_then(|package| package["name"].as_str()).unwrap_or_default();
        let target = Target::read(package, &message["target"]).unwrap_or_else(|| panic!("{line}"));
        let Some(at) = expected.iter().position(|tests| tests.target == target) else { continue };
        let folder = Path::new(manifest).parent().unwrap_or(Path::new(".")).to_owned();
        let tests = expected.swap_remove(at);
        // The path of shared libraries is the same.
        let env = [
            ("CARGO_MANIFEST_DIR", folder.clone().into_os_string()),
            ("CARGO_MANIFEST_PATH", manifest.into()),
            ("CARGO_PKG_NAME", package.into()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.into(), Some(value))).collect();
        suites.push(Suite { tests, program: program.into(), arguments: Vec::new(), folder, env });
    }
    if !expected.is_empty() {
        let missing: Vec<String> = expected.iter().map(|tests| tests.target.to_string()).collect();
        return Err(format!("not built, and so not run: {}", missing.join("; ")));
    }
    // The compilers finish in no fixed order.
    suites.sort_by_key(|suite| suite.tests.target.clone());
    Ok(suites)
}

impl Suite {
    /// Returns the suite of the examples in the documentation.
    pub(crate) fn documentation(command: &Command) -> Self {
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        Self {
            tests: Tests {
                target: Target::documentation(),
                needs: Vec::new(),
                threads: None,
                source: PathBuf::new(),
            },
            program: command.get_program().into(),
            arguments: command.get_args().map(text).collect(),
            folder: PathBuf::from("."),
            env: command
                .get_envs()
                .map(|(name, value)| (name.to_owned(), value.map(OsString::from)))
                .collect(),
        }
    }
}

/// Returns an array of cargo's output, empty when there is none.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::members;

    #[test]
    fn every_target_with_tests_is_expected_when_all_services_run() {
        let metadata = members::metadata().expect("cargo metadata works");
        let (mut messages, mut with_tests) = (String::new(), 0);
        for package in list(&metadata["packages"]) {
            for target in list(&package["targets"]).iter().filter(|target| target["test"] == true) {
                with_tests += 1;
                let (manifest, profile) = (&package["manifest_path"], serde_json::json!({"test": true}));
                messages += &serde_json::json!({
                    "reason": "compiler-artifact", "manifest_path": manifest, "target": target,
                    "profile": profile, "executable": "/program",
                })
                .to_string();
                messages.push('\n');
            }
        }
        let all = expected(&metadata, &Service::ALL);
        let suites = built(&metadata, &messages, all.clone()).expect("everything is built");
        let different: BTreeSet<&Target> = suites.iter().map(|suite| &suite.tests.target).collect();
        assert_eq!((suites.len(), different.len()), (with_tests, with_tests));

        let missing = built(&metadata, "", all).unwrap_err();
        assert!(missing.starts_with("not built, and so not run: "), "{missing}");
    }

    /// A name that is no target would be the number of threads of nothing.
    #[test]
    fn numbers_of_threads_are_of_targets_with_tests() {
        let metadata = members::metadata().expect("cargo metadata works");
        let mut looked = 0;
        for package in list(&metadata["packages"]) {
            for name in package["metadata"]["threads"].as_object().into_iter().flat_map(|all| all.keys()) {
                let is_it = |target: &&Value| target["name"] == name.as_str() && target["test"] == true;
                assert!(list(&package["targets"]).iter().any(|target| is_it(&target)), "{name} is no test");
                looked += 1;
            }
        }
        assert!(looked > 0);
    }

    /// A program without tests of its own is not linked a second time to find none; one with tests must be.
    #[test]
    fn what_is_not_tested_has_no_tests() {
        let metadata = members::metadata().expect("cargo metadata works");
        let mut looked = 0;
        for target in list(&metadata["packages"]).iter().flat_map(|package| list(&package["targets"])) {
            if target["test"] == true || target["kind"][0] == "custom-build" {
                continue;
            }
            let source = PathBuf::from(target["src_path"].as_str().expect("a path"));
            let is_folder = source.file_name().is_some_and(|name| name == "main.rs");
            let of_library = source.with_file_name("lib.rs").exists();
            let folder = source.parent().expect("a folder");
            let files = match is_folder && !of_library {
                true => {
                    fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect()
                }
                false => vec![source],
            };
            for file in files.into_iter().filter(|file| file.is_file()) {
                let text = fs::read_to_string(&file).expect("a file of text");
                assert!(!text.contains("test]\n"), "the tests of {} are never run", file.display());
                looked += 1;
            }
        }
        assert!(looked > 15, "only {looked} files were looked at");
    }

    /// Rustdoc compiles a library once more to find its examples; one with examples must be compiled.
    #[test]
    fn libraries_without_documentation_tests_have_no_examples() {
        let metadata = members::metadata().expect("cargo metadata works");
        let mut looked = 0;
        for target in list(&metadata["packages"]).iter().flat_map(|package| list(&package["targets"])) {
            let is_library = target["kind"][0] == "lib" || target["kind"][0] == "proc-macro";
            if target["doctest"] == true || !is_library {
                continue;
            }
            let folder = PathBuf::from(target["src_path"].as_str().expect("a path"));
            for file in fs::read_dir(folder.parent().expect("a folder")).expect("it can be listed") {
                let file = file.expect("a file").path();
                if file.is_dir() {
                    continue;
                }
                let text = fs::read_to_string(&file).expect("a file of text");
                let comments = text.lines().filter_map(|line| line.trim().strip_prefix("//"));
                let opening = comments.filter(|line| line.contains("```")).step_by(2);
                for fence in opening {
                    assert!(fence.ends_with("```text"), "an example of {} is never run", file.display());
                }
                looked += 1;
            }
        }
        assert!(looked > 10, "only {looked} files were looked at");
    }

    #[test]
    fn what_needs_a_service_that_does_not_run_is_not_expected() {
        let metadata = members::metadata().expect("cargo metadata works");
        let names = |services: &[Service]| {
            let all = expected(&metadata, services).into_iter();
            all.map(|tests| tests.target.to_string()).collect::<Vec<_>>()
        };
        let kafka = names(&[Service::Kafka]);
        assert!(kafka.contains(&"messagekit-tests: kafka".to_owned()));
        assert!(!kafka.contains(&"messagekit-tests: relay".to_owned()));
        assert!(names(&[]).contains(&"messagekit-tests: it".to_owned()));
    }
}
