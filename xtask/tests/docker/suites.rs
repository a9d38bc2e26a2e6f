//! The builds, runs and output of a test run, seen through its commands.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{INFO, Machine, PS, UP, WIPE};

const CARGO: &str = "cargo test --workspace --features messagekit-benches/postgres,messagekit-tests/postgres,messagekit-benches/kafka,messagekit-tests/kafka,messagekit-benches/connect,messagekit-tests/connect,messagekit-benches/rabbitmq,messagekit-tests/rabbitmq";

/// A test program. It records its folder and arguments, and exits with the code in the file with its name.
const PROGRAM: &str = r#"#!/bin/sh
name=${0##*/}
echo "$name in ${PWD##*/} of $CARGO_PKG_NAME ${CARGO_MANIFEST_DIR##*/} full=$MESSAGEKIT_FULL kafka=$MESSAGEKIT_TEST_KAFKA" >>"$FAKE_DOCKER/calls"
echo "test result: $name"
[ ! -e "$FAKE_DOCKER/fail-$name" ] || exit 7
"#;

/// A workspace with two packages: two test programs need a service, and two do not.
fn workspace() -> Machine {
    let machine = Machine::with_engine();
    let root = machine.0.path().to_owned();
    let manifest = |package: &str| root.join(package).join("Cargo.toml").display().to_string();
    let target = |kind: &str, name: &str, needs: &str| {
        format!(r#"{{"kind": ["{kind}"], "name": "{name}", "test": true, "required-features": [{needs}]}}"#)
    };
    let targets = [
        ("core", target("lib", "core", "")),
        ("tests", target("test", "path", r#""connect""#)),
        ("tests", target("test", "kafka", r#""kafka""#)),
        ("tests", target("test", "it", "")),
    ];
    let (mut packages, mut messages) = (Vec::new(), String::new());
    for package in ["core", "tests"] {
        fs::create_dir(root.join(package)).unwrap();
        let of_package = targets.iter().filter(|(of, _)| *of == package).map(|(_, target)| target.as_str());
        let of_package = of_package.collect::<Vec<_>>().join(",");
        let manifest = manifest(package);
        packages.push(format!(
            r#"{{"name": "{package}", "manifest_path": "{manifest}", "targets": [{of_package}]}}"#
        ));
    }
    for (package, target) in &targets {
        let name = target.split('"').nth(7).unwrap();
        let (program, manifest) = (root.join(name), manifest(package));
        let program = if program.exists() { root.join(format!("{name}-program")) } else { program };
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        messages += &format!(
            "{{\"reason\": \"compiler-artifact\", \"manifest_path\": \"{manifest}\", \"target\": {target}, \
             \"profile\": {{\"test\": true}}, \"executable\": \"{}\"}}\n",
            program.display()
        );
    }
    // A program is not a test.
    messages += r#"{"reason": "compiler-artifact", "profile": {"test": false}, "executable": "/bin/false"}"#;
    machine
        .with("metadata", &format!(r#"{{"packages": [{}]}}"#, packages.join(",")))
        .with("messages", &messages)
}

fn sorted(mut calls: Vec<String>) -> Vec<String> {
    calls.sort_unstable();
    calls
}

/// Compares the calls of a run: the build beside the services, then the suites and the documentation, then the services again.
fn check(calls: Vec<String>, full: &str) {
    let build = format!("{CARGO} --no-run --message-format=json-render-diagnostics");
    assert_eq!(calls[..2], [INFO, PS]);
    assert_eq!(sorted(calls[2..5].to_vec()), sorted([&build, UP, PS].map(str::to_owned).to_vec()));
    let told = |program: &str, package: &str| {
        format!("{program} in {package} of {package} {package} full={full} kafka=127.0.0.1:9092")
    };
    let (kafka, path) = (told("kafka", "tests"), told("path", "tests"));
    let expected = [
        told("core-program", "core"),
        told("it", "tests"),
        kafka.clone(),
        path.clone(),
        format!("{CARGO} --doc"),
    ];
    assert_eq!(sorted(calls[5..10].to_vec()), sorted(expected.to_vec()));
    let at = |wanted: &String| calls.iter().position(|call| call == wanted);
    assert!(at(&kafka) < at(&path), "what takes the stack down comes last: {calls:?}");
    assert_eq!(calls[10..], [WIPE]);
}

#[test]
fn a_test_run_runs_every_program_once_and_stops_the_services() {
    let machine = workspace();
    let printed = machine.prints("test").join("\n");
    check(machine.docker_calls(), "");
    for name in ["core-program", "it", "kafka", "path"] {
        assert_eq!(printed.matches(&format!("test result: {name}\n")).count(), 1, "{printed}");
    }
    for row in
        ["build and start", "core: lib core", "tests: it", "tests: kafka", "tests: path", "documentation"]
    {
        assert!(
            printed.rsplit_once("suite  ").is_some_and(|(_, table)| table.contains(row)),
            "{row}: {printed}"
        );
    }
}

#[test]
fn failed_program_fails_the_run_at_its_end_and_stops_services() {
    let machine = workspace().with("fail-kafka", "");
    let output = machine.xtask("test --full");
    assert_eq!(output.status.code(), Some(1));
    check(machine.docker_calls(), "1");
    let printed = String::from_utf8(output.stdout).unwrap();
    let last = "tests: kafka: failed (exit status: 7); again: cargo xtask test --suite 'tests: kafka'";
    assert!(printed.trim_end().ends_with(last), "{printed}");
}

#[test]
fn a_named_suite_is_run_with_its_services_and_no_others() {
    let machine = workspace();
    let printed = machine.prints("test --suite kafka").join("\n");
    let calls = machine.docker_calls();
    let up = "compose -f docker-compose.yml up -d --wait kafka";
    assert!(calls.iter().any(|call| call == up), "{calls:?}");
    let runs: Vec<_> = calls.iter().filter(|call| call.contains(" full=")).collect();
    assert!(runs.len() == 1 && runs[0].starts_with("kafka in tests"), "{calls:?}");
    assert!(!calls.iter().any(|call| call.contains("--doc")), "{calls:?}");
    assert!(printed.contains("test result: kafka\n"), "{printed}");

    let said = machine.refuses("test --suite kafak");
    assert!(said.contains("no suite is named kafak: there are core: lib core; "), "{said}");
}

#[test]
fn tests_without_services_start_none() {
    let machine = workspace();
    let printed = machine.prints("test --no-services").join("\n");
    let calls = machine.docker_calls();
    assert!(!calls.iter().any(|call| call.contains("compose")), "{calls:?}");
    let runs: Vec<_> = calls.iter().filter(|call| call.contains(" full=")).collect();
    assert_eq!(runs.len(), 2, "core and it: {calls:?}");
    assert!(calls.contains(&"cargo test --workspace --doc".to_owned()), "{calls:?}");
    assert!(printed.contains("tests: it"), "{printed}");
}

#[test]
fn a_target_that_was_not_built_fails_the_run() {
    let machine = workspace();
    let messages = fs::read_to_string(machine.0.path().join("messages")).unwrap();
    let without: Vec<&str> = messages.lines().filter(|line| !line.contains(r#""name": "it""#)).collect();
    let machine = machine.with("messages", &without.join("\n"));
    let said = machine.refuses("test");
    assert!(said.ends_with("error: not built, and so not run: tests: it\n"), "{said}");
    let calls = machine.docker_calls();
    assert!(calls.iter().all(|call| !call.contains(" full=")), "{calls:?}");
    assert_eq!(calls.last().map(String::as_str), Some(WIPE));
}

#[test]
fn a_test_run_leaves_services_that_ran_before_and_those_to_keep() {
    let machine = Machine::with_engine();
    machine.prints("stack up --services postgres");
    machine.docker_calls();
    machine.prints("test");
    let down = "compose -f docker-compose.yml down --volumes kafka connect rabbitmq".to_owned();
    assert_eq!(machine.docker_calls().pop(), Some(down));

    machine.prints("test --keep");
    assert_eq!(machine.docker_calls().pop(), Some(format!("{CARGO} --doc")));
}

#[test]
fn a_run_in_ci_stops_the_services_and_leaves_their_data() {
    let machine = workspace();
    let output = machine.command("test").env("CI", "true").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let down = "compose -f docker-compose.yml down".to_owned();
    assert_eq!(machine.docker_calls().pop(), Some(down));
}
