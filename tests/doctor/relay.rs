//! A relay process under test, and topics whose size limit an event exceeds.

use std::process::{Child, Command, Stdio};

use messagekit_testkit::unique;
use messagekit_tests::{make_topic, services};

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
    make_topic(&name, 1, settings).await;
    name
}
