//! Plays the files of `scenarios/`: what becomes readable before each poll, what the poll returns, and how far each partition is then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{OrderedReader, Start};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::scripted_log::ScriptedLog;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    config: Config,
    /// The times of the records of each topic, by partition and offset: milliseconds, or null without a time.
    data: BTreeMap<String, BTreeMap<i32, BTreeMap<i64, Option<i64>>>>,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    topics: BTreeMap<String, TopicConfig>,
    batch_size: usize,
    max_held: Option<usize>,
    cutoff_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicConfig {
    partitions: Vec<i32>,
    #[serde(default)]
    start_offsets: BTreeMap<i32, i64>,
    /// Behind the last record unless given.
    #[serde(default)]
    end_offsets: BTreeMap<i32, i64>,
}

type Offsets = BTreeMap<String, BTreeMap<i32, Vec<i64>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    description: String,
    #[serde(default)]
    poll: Offsets,
    /// Partitions whose end the log says that it has.
    #[serde(default)]
    ends: BTreeMap<String, Vec<i32>>,
    expected_released: Vec<Value>,
    #[serde(default)]
    expected_partition_state: Vec<Map<String, Value>>,
    held: Option<usize>,
    paused: Option<usize>,
    watermark_ms: Option<i64>,
    is_live: Option<bool>,
}

impl Scenario {
    fn log(&self) -> ScriptedLog {
        let log = ScriptedLog::default();
        for (topic, config) in &self.config.topics {
            for partition in &config.partitions {
                let kept = self.data.get(topic).and_then(|topic| topic.get(partition));
                let last = kept.and_then(|kept| kept.keys().last()).map_or(0, |last| last + 1);
                let start = config.start_offsets.get(partition).copied().unwrap_or(0);
                log.partition(topic, *partition, start, *config.end_offsets.get(partition).unwrap_or(&last));
            }
        }
        log
    }

    async fn play(&self) {
        let log = self.log();
        let mut builder = OrderedReader::builder().batch_size(self.config.batch_size);
        for topic in self.config.topics.keys() {
            builder = builder.source(Arc::new(log.clone()), topic.as_str(), Start::Earliest);
        }
        if let Some(max_held) = self.config.max_held {
            builder = builder.max_held(max_held);
        }
        if let Some(cutoff) = self.config.cutoff_ms {
            builder = builder.cutoff(Timestamp::from_millisecond(cutoff).expect("a time"));
        }
        let mut reader = builder.open().await.expect("opens");
        for batch in &self.batches {
            for (topic, partition, offset) in batch.readable() {
                log.put(topic, partition, offset, self.data[topic][&partition][&offset]);
            }
            for (topic, partitions) in &batch.ends {
                partitions.iter().for_each(|partition| log.reach_end(topic, *partition));
            }
            let at = format!("{}: {}", self.name, batch.description);
            let released: Vec<Value> = released(&mut reader).await;
            assert_eq!(released, batch.expected_released, "{at}");
            batch.check(&mut reader, &at);
        }
    }
}

/// Polls until nothing more is released.
async fn released(reader: &mut OrderedReader) -> Vec<Value> {
    let mut released = Vec::new();
    loop {
        let records = reader.poll(Duration::ZERO).await.expect("reads");
        if records.is_empty() {
            return released;
        }
        released.extend(records.iter().map(|record| {
            let position = &record.position;
            json!({ "topic": &*position.topic, "partition": position.partition, "offset": position.offset })
        }));
    }
}

impl Batch {
    fn readable(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.poll.iter().flat_map(|(topic, partitions)| {
            partitions.iter().flat_map(move |(partition, offsets)| {
                offsets.iter().map(move |offset| (topic.as_str(), *partition, *offset))
            })
        })
    }

    fn check(&self, reader: &mut OrderedReader, at: &str) {
        let states = serde_json::to_value(reader.partition_state()).expect("states are JSON");
        for expected in &self.expected_partition_state {
            let is_same =
                |state: &&Value| ["topic", "partition"].iter().all(|name| state[name] == expected[*name]);
            let state = states
                .as_array()
                .expect("a list")
                .iter()
                .find(is_same)
                .unwrap_or_else(|| panic!("{at}: {expected:?}"));
            for (name, value) in expected {
                assert_eq!(&state[name], value, "{at}: {name} of {state}");
            }
        }
        assert_eq!(
            self.held.unwrap_or(reader.held_message_count()),
            reader.held_message_count(),
            "{at}: held"
        );
        let paused = reader.paused_partition_count();
        assert_eq!(self.paused.unwrap_or(paused), paused, "{at}: paused");
        assert_eq!(self.is_live.unwrap_or(reader.is_live()), reader.is_live(), "{at}: live");
        if let Some(watermark) = self.watermark_ms {
            let found = reader.get_priming_watermark().map(Timestamp::as_millisecond);
            assert_eq!(found, (watermark >= 0).then_some(watermark), "{at}: watermark, -1 for none");
        }
    }
}

#[tokio::test]
async fn every_scenario_is_played_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour/ordered/scenarios");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario: Scenario =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        scenario.play().await;
        played += 1;
    }
    assert!(played >= 12, "{played} scenarios");
}
