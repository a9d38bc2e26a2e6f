//! The machine and time of a measurement.

use std::fs;

use serde_json::{Value, json};

/// The facts that results depend on.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    /// The one-minute load average at the start of the run: other users may share the machine.
    load: f64,
    date: String,
    /// Versions of servers, by name.
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// Reads the facts of this machine.
    pub(crate) fn here(versions: Vec<(&'static str, String)>) -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.trim_start_matches([':', '\t', ' ']).to_owned())
        };
        let kib = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = kib.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib.div_ceil(1 << 20),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            versions,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let versions: serde_json::Map<String, Value> =
            self.versions.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
        json!({ "processor": self.processor, "cores": self.cores, "memory_gib": self.memory_gib,
            "load_average": self.load, "date": self.date, "versions": versions })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, memory_gib, load, date, versions } = self;
        write!(
            f,
            "{date}, {cores} cores of {processor}, {memory_gib} GiB, load average {load:.1} at the beginning"
        )?;
        versions.iter().try_for_each(|(name, version)| write!(f, ", {name} {version}"))
    }
}
