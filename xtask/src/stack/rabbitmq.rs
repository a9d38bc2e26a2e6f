//! RabbitMQ: a private node with its own port mapper, beside any node of the system.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::alarm::Alarm;
use super::folder::{self, Folder};
use super::ports::Ports;
use super::probe;
use super::process::{self, Process};
use super::service::Service;

/// The real start script. The one on PATH changes the user and uses the system's folders.
pub(crate) const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// The real control script, for the same reason.
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// The name of the user, and the password.
pub(crate) const NAME: &str = "messagekit";

/// The login of that user as an HTTP header.
const LOGIN: &str = "Authorization: Basic bWVzc2FnZWtpdDptZXNzYWdla2l0\r\n";

/// The record name of Erlang's port mapper.
const MAPPER: &str = "epmd";

/// Two schedulers that sleep when they have nothing to do: they would otherwise spin, and take the cores from the tests. A dead
/// letter without a route is routed again after five seconds instead of three minutes.
const ARGUMENTS: &str = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none \
    -rabbit dead_letter_worker_publisher_confirm_timeout 5000";

/// Starts the port mapper and then the node. A mapper that the node starts itself would outlive it.
pub(crate) fn start(folder: &Folder, ports: &Ports) -> Result<(), String> {
    let home = folder.data(Service::Rabbitmq);
    folder::write(&home.join("rabbitmq.conf"), &settings(ports))?;
    let plugins = "[rabbitmq_management,rabbitmq_stream,rabbitmq_consistent_hash_exchange].\n";
    folder::write(&home.join("enabled_plugins"), plugins)?;
    let cookie = home.join(".erlang.cookie");
    if !cookie.exists() {
        let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(24).collect();
        folder::write(&cookie, &secret)?;
        fs::set_permissions(&cookie, Permissions::from_mode(0o400))
            .map_err(|error| format!("cannot protect {}: {error}", cookie.display()))?;
    }
    let mut mapper = process::detached("epmd");
    mapper.args(["-address", "127.0.0.1", "-port", &ports.get("rabbitmq-epmd").to_string()]);
    mapper.env("HOME", &home).current_dir(&home);
    Process::start(mapper, &folder.log(MAPPER), &folder.record(MAPPER))?;
    Process::start(server(&home, ports), &folder.log("rabbitmq"), &folder.record("rabbitmq"))?;
    Ok(())
}

/// Ends the port mapper of a node that has ended.
pub(crate) fn end_mapper(folder: &Folder) -> Result<(), String> {
    let record = folder.record(MAPPER);
    if let Some(mapper) = Process::recorded(&record) {
        mapper.kill();
    }
    folder::remove(&record)
}

/// Blocks or resumes publishers by the limit of memory.
pub(crate) fn alarm(folder: &Folder, ports: &Ports, alarm: Alarm) -> Result<(), String> {
    let home = folder.data(Service::Rabbitmq);
    let mut command = Command::new(CONTROL);
    command.args(alarm.arguments()).current_dir(&home).env("HOME", &home).stdin(Stdio::null());
    command.env("RABBITMQ_NODENAME", "messagekit@localhost").env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    command.env("ERL_EPMD_PORT", ports.get("rabbitmq-epmd").to_string());
    let output = command.output().map_err(|error| format!("cannot start {CONTROL}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{CONTROL} failed: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Returns whether the node listens and its virtual host runs. It uses HTTP, because each command line tool boots an Erlang.
pub(crate) fn is_ready(ports: &Ports) -> bool {
    let listener = format!("/api/health/checks/port-listener/{}", ports.get("rabbitmq"));
    let checks = [listener.as_str(), "/api/health/checks/virtual-hosts"];
    checks.iter().all(|check| probe::answers(ports.get("rabbitmq-api"), check, LOGIN))
}

fn server(home: &Path, ports: &Ports) -> Command {
    let mut command = process::detached(SERVER);
    command.current_dir(home).env("HOME", home);
    command.env("RABBITMQ_NODENAME", "messagekit@localhost");
    command.env("RABBITMQ_MNESIA_BASE", home.join("mnesia")).env("RABBITMQ_LOG_BASE", home.join("log"));
    command
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"));
    command.env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"));
    command.env("RABBITMQ_DIST_PORT", ports.get("rabbitmq-distribution").to_string());
    command.env("ERL_EPMD_PORT", ports.get("rabbitmq-epmd").to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ARGUMENTS);
    // With this the script becomes the node: the recorded pid is the one to stop.
    command.env("RUNNING_UNDER_SYSTEMD", "1");
    command
}

fn settings(ports: &Ports) -> String {
    let (amqp, api, stream) =
        (ports.get("rabbitmq"), ports.get("rabbitmq-api"), ports.get("rabbitmq-stream"));
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}
stream.listeners.tcp.1 = 127.0.0.1:{stream}
management.tcp.ip = 127.0.0.1
management.tcp.port = {api}
default_user = {NAME}
default_pass = {NAME}
# Publishers are not stopped because others fill this machine.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 2GiB
log.console = true
log.console.level = info
log.file = false
collect_statistics_interval = 1000
"
    )
}
