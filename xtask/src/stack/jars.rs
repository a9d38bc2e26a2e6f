//! The jars of Kafka and Debezium. Maven downloads them once per version, and all stacks share them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::{self, Folder};
use super::process;
use super::versions::{DEBEZIUM, KAFKA, LOG4J, SLF4J};
use crate::guard;
use crate::terminal::note;

/// The folder with the jars of one pair of versions.
#[derive(Debug)]
pub(crate) struct Jars(PathBuf);

impl Jars {
    /// Returns the jars that the stack in `folder` uses, downloaded or not.
    pub(crate) fn of(folder: &Folder) -> Self {
        Self(folder.downloads().join(format!("kafka-{KAFKA}-debezium-{DEBEZIUM}")))
    }

    /// Returns whether the download is complete.
    pub(crate) fn are_complete(&self) -> bool {
        self.marker().exists()
    }

    /// Returns the class path of the broker and the worker.
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*", self.0.join("libs").display())
    }

    /// Returns the folder where the worker looks for connectors.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.0.join("plugins")
    }

    /// Returns the archive of loaded classes for the program `name`.
    pub(crate) fn archive(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.jsa"))
    }

    /// Downloads the jars if they are absent.
    pub(crate) fn download(&self, log: &Path) -> Result<(), String> {
        if self.are_complete() {
            return Ok(());
        }
        let parent = self.0.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(|error| format!("cannot create {}: {error}", parent.display()))?;
        let _lock = folder::lock(&parent.join("lock"))?;
        if self.are_complete() {
            return Ok(());
        }
        note(format_args!("downloading Kafka {KAFKA} and Debezium {DEBEZIUM} into {}", self.0.display()));
        folder::remove(&self.0)?;
        folder::write(&self.0.join("pom.xml"), &project())?;
        self.run(self.maven(), log)?;
        let archive = format!("libs/debezium-connector-postgres-{DEBEZIUM}-plugin.tar.gz");
        let archive = self.0.join(archive);
        // The worker gives each connector its own class loader. On the common class path the connector would load Kafka's
        // classes.
        let plugins = self.plugins();
        fs::create_dir_all(&plugins)
            .map_err(|error| format!("cannot create {}: {error}", plugins.display()))?;
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(&archive).arg("-C").arg(&plugins);
        self.run(tar, log)?;
        folder::remove(&archive)?;
        folder::write(&self.marker(), "")
    }

    /// Returns one Maven command for both goals: a second start would take longer than the download.
    fn maven(&self) -> Command {
        let plugin = format!("io.debezium:debezium-connector-postgres:{DEBEZIUM}:tar.gz:plugin");
        let mut maven = Command::new("mvn");
        maven
            .args(["--batch-mode", "--no-transfer-progress", "--quiet", "--file"])
            .arg(self.0.join("pom.xml"));
        maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime", "dependency:copy"]);
        maven.arg(format!("-Dartifact={plugin}"));
        maven.arg(format!("-DoutputDirectory={}", self.0.join("libs").display()));
        maven
    }

    fn run(&self, mut command: Command, log: &Path) -> Result<(), String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = fs::File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = output.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let status = guard::status(command.stdout(output).stderr(errors));
        let status = status.map_err(|error| format!("cannot start {program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{program} could not prepare {} ({status}); {}", self.0.display(), process::end_of(log)))
    }

    fn marker(&self) -> PathBuf {
        self.0.join("complete")
    }
}

/// Returns the Maven project whose runtime dependencies are the class path.
fn project() -> String {
    let dependencies = [
        ("org.apache.kafka", "kafka_2.13", KAFKA),
        ("org.apache.kafka", "connect-runtime", KAFKA),
        ("org.slf4j", "slf4j-api", SLF4J),
        ("org.apache.logging.log4j", "log4j-api", LOG4J),
        ("org.apache.logging.log4j", "log4j-core", LOG4J),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
    ];
    let dependencies: String = dependencies
        .iter()
        .map(|(group, artifact, version)| {
            format!(
                "    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>messagekit</groupId>\n  \
         <artifactId>stack</artifactId>\n  <version>1</version>\n  <packaging>pom</packaging>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}
