//! `messagekit schema`: a baseline in a repository, and a build that compares with it.

use std::fs;
use std::path::{Path, PathBuf};

use messagekit_schema::{Contract, Contracts};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Answer, messagekit};

/// A folder with documents of contracts.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes what a service prints that knows these versions of one event.
    fn service(&self, versions: &[(&str, &[&str], Value)]) {
        let contracts = versions.iter().map(|(version, earlier, schema)| Contract {
            event_type: "orders.order.placed".to_owned(),
            topic: "orders.order".to_owned(),
            version: (*version).to_owned(),
            earlier: earlier.iter().map(|version| (*version).to_owned()).collect(),
            schema: schema.clone(),
        });
        fs::write(self.path("now.json"), Contracts::new(contracts).unwrap().to_text()).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let (now, baseline) = (self.path("now.json"), self.path("contracts.json"));
        let files = [now.to_str().unwrap(), "--baseline", baseline.to_str().unwrap()];
        messagekit(&[&["schema"], &arguments[..1], &files, &arguments[1..]].concat())
    }
}

fn schema(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn first() -> Value {
    schema(json!({"id": {"type": "string"}}), &["id"])
}

fn with_required_field() -> Value {
    schema(json!({"id": {"type": "string"}, "pence": {"type": "integer"}}), &["id", "pence"])
}

#[test]
fn a_baseline_is_made_and_extended_by_what_fits_it() {
    let repository = Repository::new();
    repository.service(&[("1.0", &[], first())]);
    assert_eq!(repository.run(&["export"]).text(), "versions added: 1, in the baseline: 1\n");
    assert_eq!(repository.run(&["export"]).text(), "versions added: 0, in the baseline: 1\n");
    repository.service(&[("2.0", &["1.0"], with_required_field())]);
    let answer = repository.run(&["check"]);
    assert_eq!(answer.code, 1, "a version that nothing holds could change: {answer:?}");
    assert!(answer.out.contains("add it with messagekit schema export"), "{answer:?}");
    assert_eq!(repository.run(&["export"]).text(), "versions added: 1, in the baseline: 2\n");
    assert_eq!(repository.run(&["check"]).text(), "compatible (backward), 1 contracts\n");
    let kept = Contracts::read(&fs::read_to_string(repository.path("contracts.json")).unwrap()).unwrap();
    let versions: Vec<&str> = kept.events().iter().map(|event| event.version.as_str()).collect();
    assert_eq!(versions, ["1.0", "2.0"]);
    let left: Vec<_> =
        fs::read_dir(repository.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no file is left beside the two: {left:?}");
}

#[test]
fn a_change_that_breaks_readers_fails_the_build_and_stays_out() {
    let repository = Repository::new();
    repository.service(&[("1.0", &[], first())]);
    repository.run(&["export"]).text();
    let before = fs::read_to_string(repository.path("contracts.json")).unwrap();
    repository.service(&[("1.1", &[], with_required_field())]);
    for command in ["check", "export"] {
        let answer = repository.run(&[command]);
        assert_eq!(answer.code, 1, "{answer:?}");
        for text in ["orders.order.placed", "1.0", "1.1", "pence is required", "raise the major version"] {
            assert!(answer.out.contains(text), "{text}: {answer:?}");
        }
        answer.explained(&["with the baseline"]);
    }
    assert_eq!(fs::read_to_string(repository.path("contracts.json")).unwrap(), before);
    let forward = repository.run(&["export", "--compatibility", "forward"]);
    assert_eq!(forward.text(), "versions added: 1, in the baseline: 2\n");
}

#[test]
fn problems_are_one_document_for_programs() {
    let repository = Repository::new();
    repository.service(&[("1.0", &[], first())]);
    repository.run(&["export"]).text();
    repository.service(&[("1.0", &[], with_required_field())]);
    let answer = repository.run(&["check", "--json"]);
    assert_eq!(answer.code, 1);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(found["compatibility"], "backward");
    assert_eq!(found["problems"][0]["before"], "1.0");
    let problem = found["problems"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("pence is missing there"), "{problem}");
}

#[test]
fn what_is_no_document_is_a_usage_error_with_its_file() {
    let repository = Repository::new();
    repository.run(&["check"]).refused(2, &["contracts cannot be read", "contracts.json"]);
    fs::write(repository.path("now.json"), "{}").unwrap();
    fs::write(repository.path("contracts.json"), "[").unwrap();
    repository.run(&["check"]).refused(2, &["no document of contracts", "contracts.json"]);
    repository.service(&[("1.0", &[], first())]);
    repository.run(&["check", "--compatibility", "some"]).refused(2, &["backward, forward or full"]);
}

#[test]
fn standard_input_is_read_in_place_of_a_file() {
    let repository = Repository::new();
    repository.service(&[("1.0", &[], first())]);
    let program = Path::new(env!("CARGO_BIN_EXE_messagekit"));
    let output = std::process::Command::new(program)
        .args(["schema", "export", "-", "--baseline"])
        .arg(repository.path("contracts.json"))
        .stdin(fs::File::open(repository.path("now.json")).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(repository.path("contracts.json").exists());
}
