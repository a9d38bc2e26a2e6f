//! Consumers, writers and a server over HTTP: each in its own thread, the server in a process that is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use messagekit_admin::Token;
use serde_json::{Value, json};

/// How long a call or a step may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Part of every payload, and of nothing else.
pub(crate) const PLANTED: &str = "planted-4711";

pub(crate) const TOPIC: &str = "shop.jobs";

/// Waits for what other threads and processes do.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `messagekit admin` over one database, which can be killed and started again.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    database: String,
    service: Token,
    admin: Token,
    running: Mutex<Running>,
    agent: ureq::Agent,
}

struct Running {
    child: Child,
    url: String,
}

impl Served {
    /// Starts the program for a database, and makes the topic with four partitions.
    pub(crate) fn start(url: &str) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let (service, admin) = (Token::generate().unwrap(), Token::generate().unwrap());
        let tokens = format!("worker service {}\nann admin {}\n", service.hash(), admin.hash());
        fs::write(folder.path().join("tokens"), tokens).unwrap();
        let database = format!("shop={url}");
        let running = Mutex::new(spawn(folder.path(), &database));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE));
        let served = Self { folder, database, service, admin, running, agent: agent.build().into() };
        let create = format!("CREATE TOPIC {TOPIC} PARTITIONS 4 WITH (key = 'n', dedup = ('n'))");
        served.sql(&create);
        served
    }

    /// Kills the process with SIGKILL, and starts another one.
    pub(crate) fn kill(&self) {
        let mut running = self.running();
        assert!(running.child.try_wait().unwrap().is_none(), "it has ended by itself: {}", self.log());
        end(&mut running.child);
        *running = spawn(self.folder.path(), &self.database);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what all of its processes have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log(self.folder.path())).unwrap()
    }

    /// Returns status and body, or `None` if the server was killed before it answered.
    pub(crate) fn post(&self, route: &str, body: &Value) -> Option<(u16, Value)> {
        self.post_as(&self.service, &format!("topics/{route}"), body)
    }

    fn post_as(&self, token: &Token, route: &str, body: &Value) -> Option<(u16, Value)> {
        let url = format!("{}/v1/api/{route}", self.running().url);
        let call = self.agent.post(&url).header("authorization", format!("Bearer {}", token.secret()));
        let mut answer = call.send_json(body).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_json().ok()?))
    }

    /// Returns the rows of a statement.
    pub(crate) fn sql(&self, sql: &str) -> Value {
        let (status, answer) = self.post_as(&self.admin, "sql", &json!({ "sql": sql })).expect("it runs");
        assert_eq!(status, 200, "{sql}: {answer}");
        answer["results"][0]["rows"].clone()
    }

    pub(crate) fn secrets(&self) -> [&str; 2] {
        [self.service.secret(), self.admin.secret()]
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.running().child);
    }
}

fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn spawn(folder: &Path, database: &str) -> Running {
    let program = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
    assert!(program.exists(), "{} is not built: run `cargo build --workspace`", program.display());
    let errors = File::options().append(true).create(true).open(log(folder)).unwrap();
    let mut child = Command::new(program)
        .args(["admin", "--listen", "127.0.0.1:0", "--database", database, "--tokens"])
        .arg(folder.join("tokens"))
        .env_remove("MESSAGEKIT_DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("the program starts");
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let Some(url) = said else {
        end(&mut child);
        panic!("the program ended: {}", fs::read_to_string(log(folder)).unwrap());
    };
    Running { child, url }
}

/// What consumers did with the events, by their ids.
#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// How often the effect of each event was applied, and what its record was.
    effects: BTreeMap<String, (u32, i64)>,
    /// Events whose acknowledgement was answered.
    acknowledged: BTreeSet<String>,
    /// How often events were delivered in claims whose end is not known, or that were left behind.
    open: BTreeMap<String, u32>,
    deliveries: BTreeMap<String, u32>,
    holding: usize,
    cut_calls: usize,
}

/// What a test asserts at its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The different records whose effect was applied.
    pub(crate) records: usize,
    /// Events that were delivered again.
    pub(crate) redelivered: usize,
    /// Calls that a kill has cut off.
    pub(crate) cut_calls: usize,
}

impl Book {
    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many consumers have claimed records at this moment.
    pub(crate) fn holding(&self) -> usize {
        self.pages().holding
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.pages().acknowledged.len()
    }

    /// Returns how many different records were applied.
    pub(crate) fn applied(&self) -> usize {
        self.pages().effects.len()
    }

    fn is_cut(&self) {
        self.pages().cut_calls += 1;
    }

    /// Applies the effects of a claim, each event once.
    fn apply(&self, messages: &[Value]) -> Vec<String> {
        let mut pages = self.pages();
        pages.holding += 1;
        let ids = messages.iter().map(|message| {
            let id = message["event_id"].as_str().unwrap().to_owned();
            assert!(!pages.acknowledged.contains(&id), "{id} came again after its acknowledgement");
            *pages.deliveries.entry(id.clone()).or_default() += 1;
            let number = message["key"].as_str().unwrap().parse().unwrap();
            pages.effects.entry(id.clone()).or_insert((0, number)).0 += 1;
            id
        });
        ids.collect()
    }

    fn finish(&self, ids: Vec<String>, is_known: bool) {
        let mut pages = self.pages();
        pages.holding -= 1;
        for id in ids {
            if is_known {
                pages.acknowledged.insert(id);
            } else {
                *pages.open.entry(id).or_default() += 1;
            }
        }
    }

    /// Asserts that no event came more often than its claims were left open.
    pub(crate) fn outcome(&self) -> Outcome {
        let pages = self.pages();
        for (id, deliveries) in &pages.deliveries {
            let open = pages.open.get(id).copied().unwrap_or_default();
            assert!(
                *deliveries <= open + 1,
                "{id} came {deliveries} times, and {open} claims of it were left"
            );
        }
        let records: BTreeSet<i64> = pages.effects.values().map(|(_, number)| *number).collect();
        assert_eq!(records.len(), pages.effects.len(), "a record has one event");
        Outcome {
            records: records.len(),
            redelivered: pages.deliveries.values().filter(|count| **count > 1).count(),
            cut_calls: pages.cut_calls,
        }
    }
}

/// Consumes until `is_over`. Every `leaves`-th claim is left behind, as by a client that has died after its effects.
pub(crate) fn consume(served: &Served, book: &Book, leaves: usize, is_over: impl Fn() -> bool) {
    let request = json!({
        "topic_id": TOPIC, "group_id": "g", "start": "Earliest", "limit": 4, "timeout_seconds": 1, "lease_seconds": 5
    });
    let mut claims = 0;
    while !is_over() {
        let answer = match served.post("consume", &request) {
            Some((200, answer)) => answer,
            Some((status, answer)) => {
                assert_eq!(status, 503, "only a busy database is a reason: {answer}");
                continue;
            }
            None => {
                book.is_cut();
                continue;
            }
        };
        let messages = answer["messages"].as_array().unwrap();
        if messages.is_empty() {
            continue;
        }
        let ids = book.apply(messages);
        claims += 1;
        if claims % leaves == 0 {
            book.finish(ids, false);
            continue;
        }
        let partition = &messages[0]["partition_id"];
        let ack = json!({"topic_id": TOPIC, "group_id": "g", "partition_id": partition, "claim_id": answer["claim_id"]});
        let answered = served.post("ack", &ack);
        if answered.is_none() {
            book.is_cut();
        }
        // A claim that is lost was acknowledged by a call without an answer, or has ended.
        book.finish(ids, matches!(answered, Some((200, _))));
    }
}

/// Appends records with these numbers, each again until the server has answered.
pub(crate) fn write(served: &Served, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let body = json!({"topic_id": TOPIC, "data": {"n": n, "note": PLANTED}, "if_new": true});
        until(
            "the server takes a record",
            || matches!(served.post("append", &body), Some((status, _)) if status == 200),
        );
    }
}
