//! Processor time by part: database, brokers, the measured program.

use std::collections::{HashMap, HashSet};
use std::fs;

/// The processes of the services that run on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) database: Option<u32>,
    pub(crate) kafka: Option<u32>,
    pub(crate) rabbitmq: Option<u32>,
    pub(crate) connect: Option<u32>,
}

/// Measures processor time between two moments.
#[derive(Debug)]
pub(crate) struct Meter {
    parts: Parts,
    process: u32,
    before: Used,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    database: Option<f64>,
    broker: Option<f64>,
    process: Option<f64>,
}

impl Meter {
    /// Starts to measure this process and its children.
    pub(crate) fn start(parts: Parts) -> Self {
        Self::start_over(parts, std::process::id())
    }

    /// Starts to measure `process` and its children.
    pub(crate) fn start_over(parts: Parts, process: u32) -> Self {
        Self { parts, process, before: used(parts, process) }
    }

    /// Returns seconds per 100,000 events for the visible parts.
    pub(crate) fn per_100k(&self, events: usize) -> Vec<(&'static str, f64)> {
        let after = used(self.parts, self.process);
        let spent = |after: Option<f64>, before: Option<f64>| {
            Some((after? - before?) * 100_000.0 / events.max(1) as f64)
        };
        let database = spent(after.database, self.before.database);
        let broker = spent(after.broker, self.before.broker);
        let process = spent(after.process, self.before.process);
        let named = [(DATABASE, database), (BROKER, broker), (PROCESS, process)];
        named.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
    }
}

pub(crate) const DATABASE: &str = "CPU-s/100k database";
pub(crate) const BROKER: &str = "CPU-s/100k brokers";
pub(crate) const PROCESS: &str = "CPU-s/100k process";

fn used(parts: Parts, process: u32) -> Used {
    let table = processes();
    let of = |root: Option<u32>| root.map(|root| tree_seconds(&table, root));
    let brokers = [parts.kafka, parts.rabbitmq];
    let broker = brokers.iter().any(Option::is_some).then(|| brokers.into_iter().filter_map(of).sum());
    Used { database: of(parts.database), broker, process: of(Some(process)) }
}

struct Stat {
    parent: u32,
    /// Processor time, including that of children the process has waited for.
    seconds: f64,
}

fn processes() -> HashMap<u32, Stat> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders
        .filter_map(|folder| {
            let pid = folder.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(folder.path().join("stat")).ok()?;
            // The name in parentheses may contain any character.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let spent =
                fields.get(11..15)?.iter().map(|field| field.parse::<f64>().unwrap_or(0.0)).sum::<f64>();
            Some((pid, Stat { parent: fields.get(1)?.parse().ok()?, seconds: spent / ticks }))
        })
        .collect()
}

fn tree_seconds(table: &HashMap<u32, Stat>, root: u32) -> f64 {
    let children = table.iter().filter(|(pid, stat)| stat.parent == root && **pid != root);
    let own = table.get(&root).map_or(0.0, |stat| stat.seconds);
    own + children.map(|(child, _)| tree_seconds(table, *child)).sum::<f64>()
}

/// Returns the process that listens on a port of this machine, or `None` if it is in a container.
pub(crate) fn listener(port: u16) -> Option<u32> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().filter_map(|line| listening(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holders: HashSet<u32> = processes().into_keys().filter(|pid| holds(*pid, &sockets)).collect();
    // A child may have inherited the socket from its parent.
    let table = processes();
    let first =
        holders.iter().find(|pid| table.get(pid).is_some_and(|stat| !holders.contains(&stat.parent)))?;
    let name = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
    (name.trim() != "docker-proxy").then_some(*first)
}

fn listening(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let is_it = fields.get(3) == Some(&"0A") && u16::from_str_radix(local, 16).ok() == Some(port);
    is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
}

fn holds(pid: u32, sockets: &HashSet<String>) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}

/// Returns the memory that a process holds, in MiB.
pub(crate) fn resident(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port_is_found_and_its_time_grows() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listener(port), Some(std::process::id()));
        let before = tree_seconds(&processes(), std::process::id());
        while tree_seconds(&processes(), std::process::id()) <= before {}
        assert!(resident(std::process::id()).unwrap() > 0.5);
    }

    #[test]
    fn children_count_with_their_parent() {
        let stat = |parent, seconds| Stat { parent, seconds };
        let table =
            HashMap::from([(1, stat(0, 1.0)), (2, stat(1, 2.0)), (3, stat(2, 4.0)), (4, stat(0, 8.0))]);
        assert_eq!(tree_seconds(&table, 1), 7.0);
    }
}
