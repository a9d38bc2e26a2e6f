//! The suites catch every fault, and pass correct adapters.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use messagekit_sqlite::{SqliteOptions, SqliteStore};
use messagekit_testkit::fixtures::{MemoryStoreFixture, MemoryTransport};
use messagekit_testkit::relay::{RelayFixture, TOPICS};
use messagekit_testkit::{DEADLINE, block_on, log, relay, store, transport};
use tempfile::TempDir;

use crate::faulty::{
    FaultyRelayFixture, FaultyStoreFixture, FaultyTransport, RELAY_FAULTS, RelayFault, Row, StoreFault,
    Suite, TransportFault, store_faults, transport_faults,
};

/// The name of the threads whose panics are expected.
const CASE_THREAD: &str = "case with a fault";

/// The end of a case.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Passed,
    /// The message of its panic.
    Failed(String),
    /// It did not end, and the clock did not advance.
    Hung,
}

/// Longer than a transaction of the suite takes on a busy machine.
const BUSY: Duration = Duration::from_secs(120);

/// After this time a case counts as one that hangs: longer than its own waits for a fact.
const HANGS: Duration = Duration::from_secs(900);

fn patient() -> SqliteOptions {
    SqliteStore::options().transaction_timeout(BUSY).busy_timeout(BUSY)
}

/// A file database whose topics are published by relays.
#[derive(Clone)]
struct Relayed {
    store: SqliteStore,
    folder: Arc<TempDir>,
}

impl Relayed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let store = patient().relayed_topics(TOPICS).open(folder.path().join("suite.db")).await;
        Self { store: store.expect("the file opens"), folder: Arc::new(folder) }
    }
}

impl RelayFixture for Relayed {
    type Store = SqliteStore;

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    async fn second(&self) -> SqliteStore {
        patient().open(self.folder.path().join("suite.db")).await.expect("the file opens")
    }
}

/// Runs one in-memory case under a paused clock, which makes waiting free.
fn in_memory(case: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime can be made");
    runtime.block_on(case);
}

fn store(suite: Suite, case: &'static str, fault: Option<&'static Row<StoreFault>>) -> Ended {
    run(DEADLINE, move || {
        let fixture = FaultyStoreFixture::new(fault.map(|row| &row.changes));
        in_memory(async {
            match suite {
                Suite::Log => log::run(fixture, case).await,
                _ => store::run(fixture, case).await,
            }
        });
    })
}

fn transport(case: &'static str, fault: Option<&'static Row<TransportFault>>) -> Ended {
    let fixture = FaultyTransport::new(fault.map(|row| &row.changes));
    run(DEADLINE, move || in_memory(transport::run(fixture, case)))
}

/// A file has its own thread, which does not use the paused clock.
fn relay(case: &'static str, fault: Option<&'static Row<RelayFault>>) -> Ended {
    run(HANGS, move || {
        block_on(async {
            let fixture = FaultyRelayFixture::new(Relayed::new().await, fault.map(|row| &row.changes));
            relay::run(fixture, case).await;
        });
    })
}

/// Runs a case on a thread of its own.
fn run(limit: Duration, case: impl FnOnce() + Send + 'static) -> Ended {
    let (ended, has_ended) = std::sync::mpsc::channel();
    let case_thread = std::thread::Builder::new().name(CASE_THREAD.to_owned());
    let spawned = case_thread.spawn(move || {
        let passed = std::panic::catch_unwind(AssertUnwindSafe(case));
        // The receiver is gone after a timeout.
        let _ = ended.send(passed.map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
        }));
    });
    spawned.expect("a thread can be made");
    match has_ended.recv_timeout(limit) {
        Ok(Ok(())) => Ended::Passed,
        Ok(Err(words)) => Ended::Failed(words),
        Err(_) => Ended::Hung,
    }
}

/// Returns every fault with its case.
fn table() -> Vec<(&'static str, &'static str)> {
    let store = store_faults().map(|row| (row.fault.trim(), row.case));
    let transport = transport_faults().map(|row| (row.fault.trim(), row.case));
    store.chain(transport).chain(RELAY_FAULTS.iter().map(|row| (row.fault.trim(), row.case))).collect()
}

#[test]
fn every_fault_fails_its_case() {
    // Hide the messages of expected panics, because they would hide a real one.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(CASE_THREAD) {
            usual(panic);
        }
    }));
    let stores = store_faults().map(|row| (row.fault, row.case, store(row.suite, row.case, Some(row))));
    let transports = transport_faults().map(|row| (row.fault, row.case, transport(row.case, Some(row))));
    let relays = RELAY_FAULTS.iter().map(|row| (row.fault, row.case, relay(row.case, Some(row))));
    let unnoticed: Vec<_> = stores
        .chain(transports)
        .chain(relays)
        .inspect(|(fault, _, ended)| println!("{fault}: {ended:?}"))
        .filter(|(_, _, ended)| !matches!(ended, Ended::Failed(_)))
        .collect();
    assert!(unnoticed.is_empty(), "faults that their case does not notice: {unnoticed:#?}");
}

#[test]
fn wrappers_without_a_fault_pass_every_case() {
    for case in transport::all::<FaultyTransport>() {
        assert_eq!(transport(case.name, None), Ended::Passed, "{}", case.name);
    }
    for case in store::all::<FaultyStoreFixture>() {
        assert_eq!(store(Suite::Store, case.name, None), Ended::Passed, "{}", case.name);
    }
    for case in log::all::<FaultyStoreFixture>() {
        assert_eq!(store(Suite::Log, case.name, None), Ended::Passed, "{}", case.name);
    }
    for case in relay::all::<Relayed>() {
        assert_eq!(relay(case.name, None), Ended::Passed, "{}", case.name);
    }
}

/// Returns the names of the public async functions over a fixture in the files of a suite.
fn written(suite: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(suite);
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("the suite has a folder") {
        let text = std::fs::read_to_string(file.expect("the folder can be read").path())
            .expect("the file can be read");
        for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            if let Some((name, rest)) = line.split_once('<')
                && rest.starts_with("F: ")
                && rest.contains("Fixture>(fixture: &")
                && rest.contains("F) {")
            {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_case_that_is_written_is_in_the_list() {
    let listed: BTreeSet<String> =
        transport::all::<MemoryTransport>().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(listed, written("transport"));
    let listed: BTreeSet<String> =
        store::all::<MemoryStoreFixture>().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(listed, written("store"));
    let listed: BTreeSet<String> =
        log::all::<MemoryStoreFixture>().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(listed, written("log"));
    let listed: BTreeSet<String> = relay::all::<Relayed>().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(listed, written("relay"));
}

#[test]
fn every_case_that_is_run_here_notices_a_fault() {
    let noticed: BTreeSet<&str> = table().into_iter().map(|(_, case)| case).collect();
    let fixture = MemoryTransport::new();
    let transport = transport::all().into_iter().filter(|case| case.applies(&fixture)).map(|case| case.name);
    let fixture = MemoryStoreFixture::new();
    let store = store::all().into_iter().filter(|case| case.applies(&fixture)).map(|case| case.name);
    let relay = relay::all::<Relayed>().into_iter().map(|case| case.name);
    let log = log::all::<MemoryStoreFixture>().into_iter().map(|case| case.name);
    let idle: Vec<&str> =
        transport.chain(store).chain(log).chain(relay).filter(|name| !noticed.contains(name)).collect();
    assert!(idle.is_empty(), "cases that notice no fault: {idle:?}");
    let names: BTreeSet<&str> = table().into_iter().map(|(fault, _)| fault).collect();
    assert_eq!(names.len(), table().len(), "each fault is another one");
}
