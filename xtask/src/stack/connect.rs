//! The Kafka Connect worker, with Debezium's PostgreSQL connector on its plugin path.

use super::folder::{self, Folder};
use super::jars::Jars;
use super::jvm;
use super::ports::Ports;
use super::probe;
use super::process::Process;
use super::service::Service;

/// The password of the replication role in tests. Connectors name the variable, which keeps the password out of configurations.
pub(crate) const PASSWORD: (&str, &str) = ("MESSAGEKIT_CDC_PASSWORD", "messagekit-cdc");

/// Starts the worker. The broker may start later: the worker retries until it answers.
pub(crate) fn start(folder: &Folder, ports: &Ports) -> Result<(), String> {
    let home = folder.data(Service::Connect);
    let settings = home.join("worker.properties");
    folder::write(&settings, &properties(&Jars::of(folder).plugins().display().to_string(), ports))?;
    let main = "org.apache.kafka.connect.cli.ConnectDistributed";
    let mut command = jvm::command(folder, "connect", main, &settings)?;
    command.env(PASSWORD.0, PASSWORD.1).current_dir(&home);
    Process::start(command, &folder.log("connect"), &folder.record("connect"))?;
    Ok(())
}

/// Returns whether the worker reports itself healthy: it has read its topics and accepts requests.
pub(crate) fn is_ready(ports: &Ports) -> bool {
    probe::answers(ports.get("connect"), "/health", "")
}

fn properties(plugins: &str, ports: &Ports) -> String {
    let (port, kafka) = (ports.get("connect"), ports.get("kafka"));
    format!(
        "bootstrap.servers=127.0.0.1:{kafka}
group.id=messagekit-stack
listeners=http://127.0.0.1:{port}
rest.advertised.host.name=127.0.0.1
plugin.path={plugins}
plugin.discovery=service_load
connector.client.config.override.policy=All
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false

config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
offset.flush.interval.ms=1000
# The tasks of a killed worker are not kept for its return.
scheduled.rebalance.max.delay.ms=0
# And its place in the group is given up soon, or the next worker would wait for it; but a worker that a busy machine stops for some
# seconds keeps it.
session.timeout.ms=10000
heartbeat.interval.ms=1000

# ${{env:NAME}} in a connector's configuration is read from the environment of this worker.
config.providers=env
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
"
    )
}
