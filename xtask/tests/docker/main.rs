//! The stack on a Docker engine, and a test run with it. The tests compare the commands: scripts on PATH stand in
//! for `docker`, `cargo`, `apt-get`, `mvn` and `java`.

mod closed;
mod ended;
mod packages;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const INFO: &str = "info";
const PS: &str = "compose -f docker-compose.yml ps --format json";
const UP: &str = "compose -f docker-compose.yml up -d --wait postgres kafka connect rabbitmq";
const WIPE: &str = "compose -f docker-compose.yml down --volumes";

/// A machine with the command `docker`, with or without an engine behind it.
struct Machine(TempDir);

impl Machine {
    fn with_engine() -> Self {
        Self::without_engine().with("engine", "")
    }

    fn without_engine() -> Self {
        let machine = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(machine.tools()).expect("a temporary folder");
        // They are looked for before every task, and a system that builds these tests may be without them.
        let machine = machine.with("tools/curl", "").with("tools/promtool", "");
        machine.with("exit", "0\n").with("metadata", r#"{"packages": []}"#).with("messages", "")
    }

    /// Creates a file that the stand-ins read.
    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.0.path().join(name), text).expect("a temporary folder");
        self
    }

    fn xtask(&self, line: &str) -> Output {
        self.command(line).output().expect("xtask starts")
    }

    fn command(&self, line: &str) -> Command {
        let fake = fakes();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let folders = [fake.clone()].into_iter().chain(std::env::split_paths(&others)).chain([self.tools()]);
        let path = std::env::join_paths(folders);
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(line.split(' '))
            .env("PATH", path.expect("no colon in the path of this workspace"))
            .env("FAKE_DOCKER", self.0.path());
        command.env("MESSAGEKIT_STACK_DIR", self.stack());
        command.env("CARGO", fake.join("cargo")).env("FAKE_XTASK", env!("CARGO_BIN_EXE_xtask"));
        // They are set when this test itself runs with a stack.
        command
            .env_remove("MESSAGEKIT_STACK")
            .env_remove("MESSAGEKIT_STACK_DIST")
            .env_remove("MESSAGEKIT_FULL")
            .env_remove("CI");
        command
    }

    /// Runs a command that must succeed, and returns the lines of its output.
    fn prints(&self, line: &str) -> Vec<String> {
        let output = self.xtask(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").lines().map(ToOwned::to_owned).collect()
    }

    /// Runs a command that must fail, and returns its error.
    fn refuses(&self, line: &str) -> String {
        let output = self.xtask(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// Returns the docker commands since the last call.
    fn docker_calls(&self) -> Vec<String> {
        let calls = self.calls();
        fs::write(self.0.path().join("calls"), "").expect("a temporary folder");
        calls
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn tools(&self) -> PathBuf {
        self.0.path().join("tools")
    }

    fn stack(&self) -> PathBuf {
        self.0.path().join("stack")
    }
}

fn fakes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker")
}

#[test]
fn an_engine_that_answers_gets_the_compose_commands() {
    let machine = Machine::with_engine();

    machine.prints("stack up");
    assert_eq!(machine.docker_calls(), [INFO, PS, UP]);

    machine.prints("stack up --services connect");
    let up = "compose -f docker-compose.yml up -d --wait kafka connect";
    assert_eq!(machine.docker_calls(), [INFO, PS, up]);

    assert_eq!(
        machine.prints("stack status"),
        [
            "postgres ready port=5432",
            "kafka ready port=9092",
            "connect ready port=8083",
            "rabbitmq ready port=5672"
        ]
    );
    assert_eq!(machine.docker_calls(), [INFO, PS]);

    machine.prints("stack down --services kafka");
    assert_eq!(machine.docker_calls(), [INFO, "compose -f docker-compose.yml down kafka"]);
    machine.prints("stack down");
    assert_eq!(machine.docker_calls(), [INFO, "compose -f docker-compose.yml down"]);
    machine.prints("stack down --wipe");
    assert_eq!(machine.docker_calls(), [INFO, "compose -f docker-compose.yml down --volumes"]);
}

#[test]
fn a_killed_container_is_down_and_is_not_killed_twice() {
    let machine = Machine::with_engine();
    machine.prints("stack up");
    machine.docker_calls();

    machine.prints("stack kill kafka");
    assert_eq!(machine.docker_calls(), [INFO, PS, "compose -f docker-compose.yml kill -s KILL kafka", PS]);
    let status = machine.xtask("stack status");
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stdout).contains("kafka down\n"));
    assert_eq!(machine.refuses("stack kill kafka"), "error: kafka is not running; nothing was killed\n");
}

#[test]
fn the_variables_are_those_of_the_compose_file() {
    let machine = Machine::with_engine();
    machine.prints("stack up");
    let stack = machine.stack();
    assert_eq!(
        machine.prints("stack env"),
        [
            "MESSAGEKIT_TEST_POSTGRES_URL=postgres://postgres:messagekit@127.0.0.1:5432/postgres".to_owned(),
            "MESSAGEKIT_TEST_KAFKA=127.0.0.1:9092".to_owned(),
            "MESSAGEKIT_TEST_CONNECT_URL=http://127.0.0.1:8083".to_owned(),
            "MESSAGEKIT_CDC_PASSWORD=messagekit-cdc".to_owned(),
            "MESSAGEKIT_TEST_AMQP_URL=amqp://messagekit:messagekit@127.0.0.1:5672/%2f".to_owned(),
            "MESSAGEKIT_TEST_RABBITMQ_API=http://messagekit:messagekit@127.0.0.1:15672".to_owned(),
            format!("MESSAGEKIT_TEST_STACK={}", stack.join("xtask").display()),
            "MESSAGEKIT_STACK=docker".to_owned(),
            format!("MESSAGEKIT_STACK_DIR={}", stack.display()),
            format!("MESSAGEKIT_STACK_DIST={}", stack.join("dist").display()),
        ]
    );
    assert!(stack.join("xtask").exists(), "the program that tests call");
}

#[test]
fn without_an_engine_the_services_are_processes() {
    let machine = Machine::without_engine();
    let status = machine.xtask("stack status");
    assert_eq!(status.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&status.stdout),
        "postgres down\nkafka down\nconnect down\nrabbitmq down\n"
    );
    let refusal = machine.refuses("stack env");
    assert!(refusal.contains("postgres has no port in "), "{refusal}");
    assert_eq!(machine.docker_calls(), [INFO, INFO], "nothing but the question for an engine");
}

#[test]
fn a_failing_compose_is_reported_with_the_way_around_it() {
    let machine = Machine::without_engine();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["stack", "up"]).env("PATH", fakes()).env("FAKE_DOCKER", machine.0.path());
    command.env("MESSAGEKIT_STACK", "docker").env("MESSAGEKIT_STACK_DIR", machine.stack());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: docker compose up -d --wait failed (exit"), "{said}");
    assert!(said.contains("MESSAGEKIT_STACK=native"), "{said}");
    assert_eq!(machine.docker_calls(), [PS, UP]);
}

#[test]
fn unresponsive_service_fails_the_test_run_by_its_name() {
    let machine = Machine::with_engine().with("no-kafka", "");
    let said = machine.refuses("test");
    assert!(
        said.ends_with("error: kafka should be running and does not answer; nothing was run\n"),
        "{said}"
    );
    let calls = machine.docker_calls();
    assert!(calls.iter().all(|call| !call.ends_with("--doc")), "{calls:?}");
    assert!(calls.last().is_some_and(|call| call.ends_with(" down --volumes")), "{calls:?}");
}
