//! A PostgreSQL server of one test, for settings and rights that would disturb other tests.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use messagekit_testkit::{DEADLINE, eventually};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::Port;

/// The data of a server that has never run. Each server gets a copy, which takes a tenth of the time of making it.
static CLUSTER: OnceLock<PathBuf> = OnceLock::new();

const INITDB: [&str; 9] =
    ["-U", "messagekit", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"];

/// What is done in a new cluster, a statement on each line. The password stays `messagekit`, with one round of hashing instead of the
/// 4,096 that every login of a client would repeat.
const FIRST_STATEMENTS: &str = "CREATE DATABASE shop;
ALTER ROLE messagekit PASSWORD 'SCRAM-SHA-256$1:bWVzc2FnZWtpdC10ZXN0cw==\
    $ls1Jk5haXV7pvADEZn+SZHNOy2nhefFfYf9jqx4ABlc=:2mqTcZf9fRitQh++I6u/KEMI/sE9SClaOB0TFQige9A=';
";

/// A running server. A drop stops it and deletes its data.
#[derive(Debug)]
pub struct Server {
    command: Command,
    child: Option<Child>,
    port: Port,
    _folder: TempDir,
}

impl Server {
    /// Starts a server on this machine only, with WAL segments of 1 MB and these settings.
    pub async fn start(settings: &[&str]) -> Self {
        Self::start_with(settings, &[]).await
    }

    /// As `start`, with variables in the environment of the server.
    pub async fn start_with(settings: &[&str], variables: &[(&str, String)]) -> Self {
        let folder = folder_of_the_server();
        done(
            Command::new("cp")
                .arg("-a")
                .arg(CLUSTER.get_or_init(fresh_cluster))
                .arg(folder.path().join("data")),
        );
        Self::over(folder, settings, variables).await
    }

    /// Starts a server that only reads, and follows this one until it is promoted.
    pub async fn standby(&self) -> Self {
        let folder = folder_of_the_server();
        let mut copy = program("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", &self.url("postgres")]);
        done(copy.arg("-D").arg(folder.path().join("data")));
        Self::over(folder, &[], &[]).await
    }

    async fn over(folder: TempDir, settings: &[&str], variables: &[(&str, String)]) -> Self {
        let data = folder.path().join("data");
        let port = Port::free();
        let mut command = program("postgres");
        command.arg("-D").arg(&data).args(["-p", &port.number().to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
            command.args(["-c", setting]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { command, child: None, port, _folder: folder };
        server.run().await;
        server
    }

    /// Starts it on its data, and waits until it answers.
    pub async fn run(&mut self) {
        self.child = Some(self.command.spawn().expect("the server starts"));
        let url = self.url("postgres");
        eventually("the server answers", DEADLINE, async || PgConnection::connect(&url).await.is_ok()).await;
    }

    /// Sends it a signal that ends it, and waits until it is gone.
    pub fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// Kills a session of the database `shop`: the server ends all others, loses unwritten data, recovers from its log, and takes
    /// connections again.
    pub async fn crash(&self) {
        let url = self.url("shop");
        let connect = async || PgConnection::connect(&url).await.expect("the server answers");
        let (mut victim, mut witness) = (connect().await, connect().await);
        let process = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut victim).await;
        let process: i32 = process.expect("a session knows its process");
        done(Command::new("kill").args(["-KILL", &process.to_string()]));
        eventually("the others are ended", DEADLINE, async || witness.ping().await.is_err()).await;
        eventually("it is back", DEADLINE, async || PgConnection::connect(&url).await.is_ok()).await;
    }

    /// Returns the URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_of("messagekit:messagekit", database)
    }

    /// Returns the URL of a database for a user, given as `name:password`.
    pub fn url_of(&self, login: &str, database: &str) -> String {
        format!("postgres://{login}@{}/{database}", self.port.address())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Immediate shutdown, without notice to clients; its child processes end with it.
        self.end("-QUIT");
    }
}

/// Returns the folder of a cluster with these settings, beside the programs of this build. It is kept for the next test program.
fn fresh_cluster() -> PathBuf {
    let version = Command::new(binaries().join("initdb")).arg("--version").output().expect("initdb starts");
    let mut settings = DefaultHasher::new();
    (INITDB, FIRST_STATEMENTS, version.stdout).hash(&mut settings);
    let tests = std::env::current_exe().expect("a program knows its path");
    let kept = tests.with_file_name(format!("cluster-{:016x}", settings.finish()));
    if kept.exists() {
        return kept;
    }
    let folder = folder_of_the_server();
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    fs::write(&password, "messagekit").expect("a file can be written");
    if is_root() {
        done(Command::new("chown").arg("postgres").arg(&password));
    }
    done(program("initdb").args(INITDB).arg("--pwfile").arg(&password).arg("-D").arg(&data));
    let statements = folder.path().join("statements");
    fs::write(&statements, FIRST_STATEMENTS).expect("a file can be written");
    let input = fs::File::open(&statements).expect("it is there");
    succeeded(program("postgres").arg("--single").arg("-D").arg(&data).arg("postgres").stdin(input));
    let beside = TempDir::new_in(tests.with_file_name("")).expect("a folder can be made beside the programs");
    let copied = beside.path().join("data");
    done(Command::new("cp").arg("-a").arg(&data).arg(&copied));
    // Another program may have been faster.
    let renamed = fs::rename(&copied, &kept);
    assert!(kept.exists(), "{} cannot become {}: {renamed:?}", copied.display(), kept.display());
    kept
}

/// Returns a folder in which the server may write: it refuses to run as root.
fn folder_of_the_server() -> TempDir {
    let folder = TempDir::new().expect("a folder can be made");
    if is_root() {
        done(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

/// Returns a program of the newest installed PostgreSQL, run as the user that may run it.
fn program(name: &str) -> Command {
    let path = binaries().join(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(path);
    command
}

fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest = versions
        .filter_map(|version| version.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .expect("PostgreSQL is installed");
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

fn done(command: &mut Command) {
    succeeded(command.stdin(Stdio::null()));
}

fn succeeded(command: &mut Command) {
    let output = command.output().expect("starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
