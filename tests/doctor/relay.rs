//! A relay process under test, and topics whose size limit an event exceeds.

use std::process::{Child, Command, Stdio};

use messagekit_testkit::unique;
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::stage::with_environment;

/// A running relay. A drop ends it.
pub(crate) struct Relay(Child);

impl Relay {
    /// Starts the relay of a printed step, with the broker in its place.
    pub(crate) fn of_step(step: &str) -> Self {
        let line = step.split_once("messagekit relay").expect("it names the command").1;
        let line = line.split_once(',').expect("it names another broker").0;
        let line = line.replace("HOST:PORT", &services::kafka());
        let mut shell = Command::new("sh");
        with_environment(shell.args(["-c", &format!("exec messagekit relay {line}")]));
        shell.env("MESSAGEKIT_RELAY__LISTEN", "127.0.0.1:0").stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().expect("there is a shell"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes a topic with settings.
pub(crate) async fn topic(settings: &[(&str, &str)]) -> String {
    let name = unique("doctor.order");
    let mut topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let mut client = ClientConfig::new();
    let client = client.set("bootstrap.servers", services::kafka());
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    name
}
