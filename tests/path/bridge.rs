//! The bridge between the bills' topic and shipping's queue, as a process.

use std::fs;

use messagekit_shipping::EXCHANGE;
use messagekit_testkit::eventually;
use messagekit_tests::{Program, services};
use tempfile::TempDir;

use crate::billing::PATIENCE;
use crate::broker;
use crate::names::{BILL_PARTITIONS, Names};
use crate::process::launch;

/// A running bridge.
pub(crate) struct Bridge {
    pub(crate) process: Program,
    folder: TempDir,
    names: Names,
}

impl Bridge {
    /// Starts it.
    pub(crate) fn start(names: &Names) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let process = start(&folder, names, None);
        Self { process, folder, names: names.clone() }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it, with a limit of messages per second or without one.
    pub(crate) fn start_again(&mut self, limit: Option<u32>) {
        self.process = start(&self.folder, &self.names, limit);
    }

    /// Asserts that it has not exited.
    pub(crate) fn is_alive_still(&mut self) {
        self.process.is_alive_still();
    }

    /// Waits until it has settled every record of the topic.
    pub(crate) async fn until_forwarded(&self) {
        eventually("every bill is forwarded", PATIENCE, async || self.backlog() == Some(0)).await;
    }

    /// Returns how many bills it has not settled, or `None` when the broker does not answer.
    pub(crate) fn backlog(&self) -> Option<i64> {
        let ends = broker::ends(&self.names.bills)?;
        Some(ends.iter().sum::<i64>() - self.settled()?)
    }

    /// Returns how many bills it has settled, or `None` when the broker does not answer.
    pub(crate) fn settled(&self) -> Option<i64> {
        let next = broker::committed(&self.names.bridge, (&self.names.bills, BILL_PARTITIONS))?;
        Some(next.into_iter().flatten().sum())
    }
}

fn start(folder: &TempDir, names: &Names, limit: Option<u32>) -> Program {
    let limit = limit.map(|limit| format!("[bridge.limit]\nmessages = {limit}\nper = \"1s\"\n"));
    let name = &names.bridge;
    // An instance gets its partitions back at once. Without a name the killed member would hold them for a session.
    let settings = format!(
        "[bridge]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\ninstance_id = \"{name}-0\"\n{}\
         [kafka]\nbrokers = [\"{}\"]\n[rabbitmq]\nurl = \"{}\"\n\
         [[rule]]\ntopics = [\"{}\"]\nexchange = \"{EXCHANGE}\"\nrouting_key = \"{{eventType}}\"\n",
        limit.unwrap_or_default(),
        services::kafka(),
        services::amqp_url(),
        names.bills,
    );
    let file = folder.path().join("bridge.toml");
    fs::write(&file, settings).expect("settings can be written");
    let file = file.to_str().expect("a path of text");
    launch("messagekit-bridge", &["--config", file]).start()
}
