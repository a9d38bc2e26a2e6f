//! The stack as containers of a Docker engine, from the compose file in the root of the workspace.

use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Deserializer, Value};

use super::alarm::Alarm;
use super::connect;
use super::folder::workspace;
use super::service::Service;
use super::state::{Health, State};
use crate::guard;

/// A stack of containers. `docker-compose.yml` sets ports and passwords.
#[derive(Debug)]
pub(crate) struct Docker;

impl Docker {
    /// Returns whether an engine answers. The command alone is not enough.
    pub(crate) fn answers() -> bool {
        let mut info = Command::new("docker");
        info.arg("info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        info.status().is_ok_and(|status| status.success())
    }

    /// Starts the containers and returns when their health checks pass.
    pub(crate) fn up(&self, services: &[Service]) -> Result<(), String> {
        let args = ["up", "-d", "--wait"];
        let mut command = command(&args, services);
        let status = guard::status(command.stdout(Stdio::null()));
        let status = status.map_err(|error| format!("cannot start docker: {error}"))?;
        if status.success() { Ok(()) } else { Err(failed(&args, status)) }
    }

    /// Stops and removes the containers, and with `wipe` their volumes.
    pub(crate) fn down(&self, services: &[Service], wipe: bool) -> Result<(), String> {
        let options: &[&str] = if wipe { &["down", "--volumes"] } else { &["down"] };
        // Without names, compose also removes the network of the project.
        let all = Service::ALL.iter().all(|service| services.contains(service));
        compose(options, if all { &[] } else { services }).map(drop)
    }

    /// Returns the state of each service.
    pub(crate) fn status(&self, services: &[Service]) -> Result<Vec<State>, String> {
        let output = compose(&["ps", "--format", "json"], &[])?;
        let containers = containers(&output.stdout)?;
        let state = |service: &Service| {
            let field =
                |container: &Value, name: &str| container[name].as_str().unwrap_or_default().to_owned();
            let container = containers.iter().find(|container| field(container, "Service") == service.name());
            let health = container.map_or(Health::Down, |container| {
                match (field(container, "State").as_str(), field(container, "Health").as_str()) {
                    ("running", "healthy" | "") => Health::Ready,
                    ("running", _) => Health::Starting,
                    _ => Health::Down,
                }
            });
            State { service: *service, health, pid: None, port: port(*service) }
        };
        Ok(services.iter().map(state).collect())
    }

    /// Returns the variables with the addresses of the services.
    pub(crate) fn env(&self, services: &[Service]) -> Vec<(&'static str, String)> {
        let address = |service| format!("127.0.0.1:{}", port(service));
        let variables = services.iter().flat_map(|service| match service {
            Service::Postgres => {
                let url = format!("postgres://postgres:messagekit@{}/postgres", address(*service));
                vec![("MESSAGEKIT_TEST_POSTGRES_URL", url)]
            }
            Service::Kafka => vec![("MESSAGEKIT_TEST_KAFKA", address(*service))],
            Service::Connect => {
                let (name, password) = connect::PASSWORD;
                vec![
                    ("MESSAGEKIT_TEST_CONNECT_URL", format!("http://{}", address(*service))),
                    (name, password.to_owned()),
                ]
            }
            Service::Rabbitmq => vec![
                (
                    "MESSAGEKIT_TEST_AMQP_URL",
                    format!("amqp://messagekit:messagekit@{}/%2f", address(*service)),
                ),
                ("MESSAGEKIT_TEST_RABBITMQ_API", "http://messagekit:messagekit@127.0.0.1:15672".to_owned()),
            ],
        });
        variables.collect()
    }

    /// Kills a container as a crash would, and returns when it no longer runs.
    pub(crate) fn kill(&self, service: Service) -> Result<(), String> {
        if self.is_down(service)? {
            return Err(format!("{service} is not running; nothing was killed"));
        }
        compose(&["kill", "-s", "KILL"], &[service])?;
        let since = Instant::now();
        while !self.is_down(service)? {
            if since.elapsed() > Duration::from_secs(10) {
                return Err(format!("the container of {service} still runs 10 s after SIGKILL"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Freezes or resumes a container.
    pub(crate) fn freeze(&self, service: Service, on: bool) -> Result<(), String> {
        compose(&[if on { "pause" } else { "unpause" }], &[service]).map(drop)
    }

    /// Blocks or resumes the publishers of RabbitMQ.
    pub(crate) fn alarm(&self, alarm: Alarm) -> Result<(), String> {
        let [command, kind, limit] = alarm.arguments();
        compose(&["exec", "-T", "rabbitmq", "rabbitmqctl", command, kind, limit], &[]).map(drop)
    }

    fn is_down(&self, service: Service) -> Result<bool, String> {
        Ok(self.status(&[service])?.iter().all(|state| state.health == Health::Down))
    }
}

/// Returns the port of the compose file that clients use.
fn port(service: Service) -> u16 {
    match service {
        Service::Postgres => 5432,
        Service::Kafka => 9092,
        Service::Connect => 8083,
        Service::Rabbitmq => 5672,
    }
}

/// Runs one compose command, even after the task was ended. Only its stdout is returned.
fn compose(args: &[&str], services: &[Service]) -> Result<Output, String> {
    let output = command(args, services).stdout(Stdio::piped()).output();
    let output = output.map_err(|error| format!("cannot start docker: {error}"))?;
    if output.status.success() { Ok(output) } else { Err(failed(args, output.status)) }
}

/// Returns a compose command. Its stderr goes to the terminal.
fn command(args: &[&str], services: &[Service]) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "-f", "docker-compose.yml"]).args(args);
    command.args(services.iter().map(|service| service.name()));
    command.current_dir(workspace()).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn failed(args: &[&str], status: ExitStatus) -> String {
    let args = args.join(" ");
    format!(
        "docker compose {args} failed ({status}); MESSAGEKIT_STACK=native runs the services without Docker"
    )
}

/// Parses the output of `ps`: one object per line, or one list in older versions.
fn containers(output: &[u8]) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    for value in Deserializer::from_slice(output).into_iter() {
        match value.map_err(|error| format!("cannot read what docker compose ps printed: {error}"))? {
            Value::Array(list) => found.extend(list),
            one => found.push(one),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_list_are_read() {
        let lines = b"{\"Service\":\"kafka\"}\n{\"Service\":\"postgres\"}\n";
        let list = b"[{\"Service\":\"kafka\"},{\"Service\":\"postgres\"}]";
        assert_eq!(containers(lines), containers(list));
        assert_eq!(containers(lines).map(|found| found.len()), Ok(2));
        assert_eq!(containers(b""), Ok(Vec::new()));
        assert!(containers(b"no such command").is_err());
    }
}
