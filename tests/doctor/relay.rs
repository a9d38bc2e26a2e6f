//! A relay process under test, and topics whose size limit an event exceeds.

use std::process::Command;

use messagekit_testkit::unique;
use messagekit_tests::{Launch, Program, make_topic, services};

use crate::stage::with_environment;

/// Starts the relay of a printed step, with the broker in its place.
pub(crate) fn relay_of_step(step: &str) -> Program {
    let line = step.split_once("messagekit relay").expect("it names the command").1;
    let line = line.split_once(',').expect("it names another broker").0;
    let line = line.replace("HOST:PORT", &services::kafka());
    let mut shell = Command::new("sh");
    with_environment(shell.args(["-c", &format!("exec messagekit relay {line}")]));
    Launch::with("relay", shell).variables([("MESSAGEKIT_RELAY__LISTEN", "127.0.0.1:0")]).start()
}

/// Makes a topic with settings.
pub(crate) async fn topic(settings: &[(&str, &str)]) -> String {
    let name = unique("doctor.order");
    make_topic(&name, 1, settings).await;
    name
}
