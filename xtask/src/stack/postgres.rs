//! PostgreSQL: a private cluster with logical decoding, reachable with a password on loopback only.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder::{self, Folder};
use super::ports::Ports;
use super::process::{self, Process};
use super::service::Service;

/// The name of the superuser and of the database, and the password.
pub(crate) const NAME: &str = "messagekit";

/// What the server keeps of the password, made with one round of hashing. A client repeats the rounds at every login: with the usual 4,096
/// they took a fourth of the processor time of the database's tests.
const VERIFIER: &str = "SCRAM-SHA-256$1:bWVzc2FnZWtpdC10ZXN0cw==\
    $ls1Jk5haXV7pvADEZn+SZHNOy2nhefFfYf9jqx4ABlc=:2mqTcZf9fRitQh++I6u/KEMI/sE9SClaOB0TFQige9A=";

/// Settings that differ from a fresh cluster. Without fsync the server survives a kill, but not a power cut. Autovacuum starts a process for each
/// database in each round, and the tests leave a thousand of them. Compiling statements takes longer than the tables of tests repay.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = '64MB'
wal_level = 'logical'
max_wal_senders = 20
max_replication_slots = 40
max_slot_wal_keep_size = '2GB'
max_prepared_transactions = 20
fsync = off
full_page_writes = off
autovacuum_naptime = '15min'
jit = off
log_line_prefix = '%m [%p] %u@%d '
";

/// Returns the folder with the programs of the highest PostgreSQL installed.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let programs =
        versions.map(|version| (version, PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))));
    let programs = programs.filter(|(_, folder)| folder.join("postgres").exists());
    programs.max_by_key(|(version, _)| *version).map(|(_, folder)| folder)
}

/// Starts the server, and creates its cluster first if there is none.
pub(crate) fn start(folder: &Folder, ports: &Ports) -> Result<(), String> {
    let programs = programs().ok_or("there is no PostgreSQL under /usr/lib/postgresql")?;
    let home = home(folder);
    let data = home.join("data");
    if !data.exists() {
        create(&programs, &home, &folder.log("initdb"))?;
    }
    // A killed server whose parent has not reaped it still answers to its pid, and the next server would refuse to start.
    let lock = data.join("postmaster.pid");
    let owner = fs::read_to_string(&lock).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
    if owner.is_some_and(process::is_zombie) {
        folder::remove(&lock)?;
    }
    let mut command = as_owner(|program| process::detached(program), &programs.join("postgres"));
    command.arg("-D").arg(&data).arg("-c").arg(format!("port={}", ports.get("postgres")));
    Process::start(command, &folder.log("postgres"), &folder.record("postgres"))?;
    Ok(())
}

/// Returns whether a client that logs in with the password gets an answer to a query.
pub(crate) fn is_ready(ports: &Ports) -> bool {
    let Some(programs) = programs() else { return false };
    let mut psql = Command::new(programs.join("psql"));
    psql.env_clear().env("PGPASSWORD", NAME).env("PGCONNECT_TIMEOUT", "2");
    psql.args(["-XAtq", "-h", "127.0.0.1", "-U", NAME, "-d", NAME, "-c", "select 1", "-p"]);
    psql.arg(ports.get("postgres").to_string()).stdin(Stdio::null()).stderr(Stdio::null());
    psql.output().is_ok_and(|output| output.stdout == b"1\n")
}

/// Returns the folder of the cluster. As root the server runs as the user postgres, who may have no access to the stack's folder.
pub(crate) fn home(folder: &Folder) -> PathBuf {
    if is_root() {
        let mut test = as_owner(|program| Command::new(program), Path::new("test"));
        let reachable = test.arg("-x").arg(folder.root()).status().is_ok_and(|status| status.success());
        if !reachable {
            return PathBuf::from(format!("/var/tmp/messagekit-stack-{}", folder.fingerprint()));
        }
    }
    folder.data(Service::Postgres)
}

/// Creates the cluster and the database in a temporary folder first. An incomplete cluster is therefore never used.
fn create(programs: &Path, home: &Path, log: &Path) -> Result<(), String> {
    let (password, new) = (home.join("password"), home.join("new"));
    folder::remove(home)?;
    folder::write(&password, NAME)?;
    let cannot = |what: &str, path: &Path, error| format!("cannot {what} {}: {error}", path.display());
    if is_root() {
        let user =
            user("postgres").ok_or("there is no user postgres; install the package postgresql again")?;
        for path in [home, &password] {
            chown(path, Some(user.0), Some(user.1))
                .map_err(|error| cannot("change the owner of", path, error))?;
        }
    }
    let mut initdb = as_owner(|program| Command::new(program), &programs.join("initdb"));
    initdb.args([
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    initdb.arg("--username").arg(NAME).arg("--pwfile").arg(&password).arg("-D").arg(&new);
    run(initdb, Stdio::null(), log)?;
    // Append to the file that initdb created: it belongs to the right user.
    let settings = new.join("postgresql.auto.conf");
    fs::write(&settings, SETTINGS).map_err(|error| cannot("write", &settings, error))?;
    let statement = home.join("database.sql");
    folder::write(
        &statement,
        &format!("CREATE DATABASE {NAME};\nALTER ROLE {NAME} PASSWORD '{VERIFIER}';\n"),
    )?;
    let input = File::open(&statement).map_err(|error| cannot("read", &statement, error))?;
    let mut alone = as_owner(|program| Command::new(program), &programs.join("postgres"));
    alone.arg("--single").arg("-D").arg(&new).arg("postgres");
    run(alone, input.into(), log)?;
    fs::rename(&new, home.join("data")).map_err(|error| cannot("rename", &new, error))
}

/// Runs one step of the creation.
fn run(mut command: Command, input: Stdio, log: &Path) -> Result<(), String> {
    let output = command.stdin(input).output();
    let output = output
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    folder::write(log, &String::from_utf8_lossy(&said))?;
    Err(format!("the cluster of postgres could not be created ({}); {}", output.status, process::end_of(log)))
}

/// Returns a command that runs as the owner of the cluster: PostgreSQL refuses to run as root.
///
/// The environment is empty, because PostgreSQL reads many settings from it.
fn as_owner(command: impl FnOnce(&Path) -> Command, program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = command(Path::new("setpriv"));
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
        command
    } else {
        command(program)
    };
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command.env_clear().env("PATH", path).env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the ids of a user and its group, from the system's list of users.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_with_their_ids() {
        assert_eq!(user("root"), Some((0, 0)));
        assert_eq!(user("nobody-of-that-name"), None);
    }
}
