//! A registry of Apicurio, which serves Confluent's API, as a process of this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use messagekit_schema_registry::{ConfluentRegistry, SchemaId, SchemaRegistry};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::{Port, printed};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// The version with the smallest package among those that Maven's central repository has as one archive.
const VERSION: &str = "3.0.9";

/// Java compiles the whole server while it starts: minutes on a busy machine.
const TO_START: Duration = DEADLINE.saturating_mul(5);
/// How long one that is silent is waited for before another one is started. It takes 25 s on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running registry with its data in a file. A drop stops it and deletes the data.
pub(crate) struct Apicurio {
    child: Option<Child>,
    port: Port,
    data: TempDir,
}

impl Apicurio {
    /// Starts a registry that refuses what does not read the version before.
    pub(crate) async fn start() -> Self {
        let mut registry = Self { child: None, port: Port::free(), data: TempDir::new().unwrap() };
        registry.run().await;
        let address = format!("{}/config", registry.address());
        let set = move || {
            let request = ureq::put(address).header("content-type", "application/json");
            request.send(r#"{"compatibility": "BACKWARD"}"#).unwrap();
        };
        tokio::task::spawn_blocking(set).await.unwrap();
        registry
    }

    /// Starts it on its data, and waits until it answers. A server that ends, or stays silent, as it
    /// does at times on a busy machine, is started again.
    pub(crate) async fn run(&mut self) {
        // One after the other: each compiles all of itself.
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        let folder = tokio::task::spawn_blocking(unpacked).await.unwrap();
        let log = self.data.path().join("log.txt");
        self.child = Some(self.spawned(&folder, &log));
        let (registry, mut began) = (self.within(Duration::from_secs(20)), Instant::now());
        eventually("the registry answers", TO_START, async || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            if ended.is_some() || began.elapsed() > PATIENCE {
                let said = fs::read_to_string(&log).unwrap();
                println!("the registry does not answer after {:?} ({ended:?}): {said}", began.elapsed());
                self.kill();
                (self.child, began) = (Some(self.spawned(&folder, &log)), Instant::now());
            }
            registry.schema(SchemaId(4_000_000)).await.is_err_and(|error| !error.is_transient())
        })
        .await;
    }

    fn spawned(&self, folder: &Path, log: &Path) -> Child {
        let log = File::create(log).unwrap();
        // H2 would write what it has answered half a second later, and a kill would take it.
        let database = format!("jdbc:h2:file:{};WRITE_DELAY=0", self.data.path().join("schemas").display());
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar"]);
        command.arg(format!("apicurio-registry-app-{VERSION}-runner.jar")).current_dir(folder);
        command
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", self.port.number().to_string());
        command.env("APICURIO_STORAGE_SQL_KIND", "h2").env("APICURIO_DATASOURCE_URL", database);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().expect("java starts: install default-jre-headless")
    }

    /// Returns the address of Confluent's API.
    pub(crate) fn address(&self) -> String {
        format!("http://{}/apis/ccompat/v7", self.port.address())
    }

    /// Returns a client that waits as long as a busy machine may need to answer.
    pub(crate) fn registry(&self) -> ConfluentRegistry {
        self.within(DEADLINE)
    }

    /// Returns a client that gives a call up soon, and whose user asks again.
    pub(crate) fn impatient(&self) -> ConfluentRegistry {
        self.within(Duration::from_secs(5))
    }

    fn within(&self, timeout: Duration) -> ConfluentRegistry {
        ConfluentRegistry::new(&self.address()).unwrap().timeout(timeout).unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it from answering, with its connections open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the folder with the program, which Maven fetches once.
fn unpacked() -> PathBuf {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apicurio-{VERSION}"));
    let mark = folder.join("complete");
    if !mark.exists() {
        fs::create_dir_all(&folder).unwrap();
        let artifact = format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--no-transfer-progress", "--quiet", "dependency:copy", &artifact]);
        maven.arg(format!("-DoutputDirectory={}", folder.display())).current_dir(&folder);
        printed(&mut maven, "maven fetches the registry: is its central repository reachable?");
        let archive = folder.join(format!("apicurio-registry-app-{VERSION}-all.tar.gz"));
        printed(
            Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&folder),
            "tar unpacks the registry",
        );
        fs::remove_file(archive).unwrap();
        fs::write(mark, "").unwrap();
    }
    folder
}
