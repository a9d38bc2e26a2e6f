//! Java programs of the stack. They are small and start quickly, and faster from the second start on.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::{self, Folder};
use super::jars::Jars;
use super::packages;
use super::process;

/// Logs everything to the console, which is the log file.
const LOGGING: &str = "\
status = error
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %X{connector.context}%m (%c)%n
";

/// Returns the command that runs `main` with the configuration file `settings`.
///
/// It selects the collector with the least memory and start-up work, and only the quick compiler: on two cores a server would
/// otherwise compile longer than it takes to answer.
pub(crate) fn command(folder: &Folder, name: &str, main: &str, settings: &Path) -> Result<Command, String> {
    let jars = Jars::of(folder);
    let logging = folder.root().join("log4j2.properties");
    folder::write(&logging, LOGGING)?;
    let mut command = process::detached("java");
    command.args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
    command.arg("-Djava.awt.headless=true");
    let archive = jars.archive(name);
    if archive.exists() {
        // Java ignores an archive that does not match the installed version.
        command.args(["-Xshare:auto", &format!("-XX:SharedArchiveFile={}", archive.display())]);
    } else if records(folder, name) {
        let recording = recording(folder, name);
        folder::remove(&recording)?;
        command.arg(format!("-XX:ArchiveClassesAtExit={}", recording.display()));
        command.args(["-Xlog:cds=off", "-Xlog:cds+dynamic=off"]);
    }
    command.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    command.args(["-cp", &jars.class_path(), main]).arg(settings);
    Ok(command)
}

/// Returns whether the program must shut down cleanly to write its archive of loaded classes.
///
/// Writing takes longer than one start saves, so a machine that exists for one run skips it.
pub(crate) fn records(folder: &Folder, name: &str) -> bool {
    !packages::in_ci() && !Jars::of(folder).archive(name).exists()
}

/// Keeps the archive that a program wrote at a clean shutdown. After any other end it may be incomplete.
pub(crate) fn ended(folder: &Folder, name: &str, orderly: bool) -> Result<(), String> {
    let recording = recording(folder, name);
    if orderly && recording.exists() {
        let archive = Jars::of(folder).archive(name);
        return std::fs::rename(&recording, &archive).map_err(|error| {
            format!("cannot rename {} to {}: {error}", recording.display(), archive.display())
        });
    }
    folder::remove(&recording)
}

/// Returns the file that the program writes. Each stack has its own, because several may share the jars.
fn recording(folder: &Folder, name: &str) -> PathBuf {
    Jars::of(folder).archive(&format!("{name}-{}", folder.fingerprint()))
}
