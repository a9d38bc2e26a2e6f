//! The addresses of the services, and commands to stop and start them.

use std::process::{Command, Output, Stdio};

/// A service that tests may kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The database.
    Postgres,
    /// The broker.
    Kafka,
    /// The Kafka Connect worker with Debezium.
    Connect,
    /// The broker with queues.
    RabbitMq,
}

impl Service {
    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Connect => "connect",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

/// Returns the URL of the test cluster's superuser.
pub fn postgres_url() -> String {
    required("MESSAGEKIT_TEST_POSTGRES_URL", "postgres")
}

/// Returns the address of the broker.
pub fn kafka() -> String {
    required("MESSAGEKIT_TEST_KAFKA", "kafka")
}

/// Returns the URL of the Kafka Connect worker.
pub fn connect_url() -> String {
    required("MESSAGEKIT_TEST_CONNECT_URL", "connect")
}

/// Returns the URL of the broker with queues, with the password.
pub fn amqp_url() -> String {
    required("MESSAGEKIT_TEST_AMQP_URL", "rabbitmq")
}

/// Returns the URL of RabbitMQ's management API, with the password.
pub fn rabbitmq_api() -> String {
    required("MESSAGEKIT_TEST_RABBITMQ_API", "rabbitmq")
}

/// Returns the path of the program `cargo xtask`.
pub fn program() -> String {
    required("MESSAGEKIT_TEST_STACK", "connect")
}

/// Kills a service with SIGKILL and waits until it is gone.
pub fn kill(service: Service) {
    stack(&["kill", service.name()]);
}

/// A service that keeps its connections and answers nothing. A drop resumes it, because later tests need it.
#[derive(Debug)]
pub struct Frozen(Service);

impl Frozen {
    /// Freezes a service.
    pub fn new(service: Service) -> Self {
        stack(&["freeze", service.name()]);
        Self(service)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        stack(&["thaw", self.0.name()]);
    }
}

/// Checks that every service of the stack answers. The error holds the state of each.
///
/// # Errors
/// Returns an error when a service does not answer.
pub fn status() -> Result<(), String> {
    let output = run(&["status"]);
    if output.status.success() { Ok(()) } else { Err(both(&output)) }
}

/// Starts a service again with its data, and waits until it answers.
pub fn start(service: Service) {
    stack(&["up", "--services", service.name()]);
}

/// Makes RabbitMQ block publishers, as it does when memory is short, or resumes them.
pub fn alarm(on: bool) {
    stack(&["alarm", if on { "on" } else { "off" }]);
}

fn stack(arguments: &[&str]) {
    let output = run(arguments);
    assert!(output.status.success(), "stack {} failed: {}", arguments.join(" "), both(&output));
}

fn run(arguments: &[&str]) -> Output {
    let program = program();
    let output = Command::new(&program).arg("stack").args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', ", ");
    format!("{} {}", text(&output.stdout), text(&output.stderr)).trim().to_owned()
}

fn required(variable: &str, service: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set, and this test needs {service}: run `cargo xtask test --services {service}`")
    })
}
