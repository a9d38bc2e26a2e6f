//! What a user does with the archives of the crates, before they are on the registry.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::paths::{failed, made_anew};
use super::run::run;
use crate::stack::folder;
use crate::stage::{cargo, printed};

/// The service of `docs/write-a-service.md`.
const SERVICE: &str = "examples/17_payments_service.rs";

/// The manifest of a reader of that page.
const MANIFEST: &str = r#"[package]
name = "payments"
version = "0.0.0"
edition = "2024"

[dependencies]
messagekit = "VERSION"
messagekit-service = "VERSION"
messagekit-sqlite = "VERSION"
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["full"] }
"#;

/// The unpacked archives of one release.
pub(super) struct Trial {
    version: String,
    /// The folder of the workspace.
    root: PathBuf,
    /// Holds a folder for each crate.
    folder: PathBuf,
    /// Where cargo has built them already.
    target: PathBuf,
}

impl Trial {
    /// Unpacks archives. Cargo takes the crates from there, and everything else from the registry.
    pub(super) fn of(
        version: &str,
        root: &Path,
        archives: &[PathBuf],
        target: &Path,
    ) -> Result<Self, String> {
        let folder = target.join("unpacked");
        made_anew(&folder)?;
        let mut patches = String::from("[patch.crates-io]\n");
        for archive in archives {
            let mut tar = Command::new("tar");
            run(tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&folder), root)?;
            let stem = archive.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let Some(name) = stem.strip_suffix(&format!("-{version}")) else {
                return Err(format!("{} is of another version than {version}", archive.display()));
            };
            let _ = writeln!(patches, "{name} = {{ path = {:?} }}", folder.join(&stem));
        }
        folder::write(&folder.join("patches.toml"), &patches)?;
        Ok(Self { version: version.to_owned(), root: root.to_owned(), folder, target: target.to_owned() })
    }

    /// Installs programs as `cargo install` does, and asks each for its version.
    pub(super) fn installs(&self, programs: &[(&str, &str)]) -> Result<(), String> {
        let version = &self.version;
        let installed = self.folder.join("installed");
        for (package, program) in programs {
            let package = self.folder.join(format!("{package}-{version}"));
            self.resolved(&package)?;
            let mut install = self.cargo("install");
            install.args(["--locked", "--debug", "--path"]).arg(&package).arg("--root").arg(&installed);
            run(&mut install, &self.root)?;
            let said = printed(Command::new(installed.join("bin").join(program)).arg("--version"))?;
            if said.trim() != format!("{program} {version}") {
                return Err(format!("{program} of the archive calls itself {said:?}, not {version}"));
            }
        }
        Ok(())
    }

    /// Builds the service of the documentation in a project of its own.
    pub(super) fn builds_a_service(&self) -> Result<(), String> {
        let project = self.folder.join("payments");
        folder::write(&project.join("Cargo.toml"), &MANIFEST.replace("VERSION", &self.version))?;
        let source = self.root.join(SERVICE);
        let text = fs::read_to_string(&source).map_err(|error| failed("read", &source, &error))?;
        folder::write(&project.join("src/main.rs"), &text)?;
        self.resolved(&project)?;
        let mut build = self.cargo("build");
        run(build.arg("--locked").arg("--manifest-path").arg(project.join("Cargo.toml")), &self.root)
    }

    /// Makes a package a project of its own, although its folder stands in that of this workspace, and writes its lock file: that of
    /// this workspace, with what the package needs of it. So nothing is built that was not built before.
    fn resolved(&self, package: &Path) -> Result<(), String> {
        let manifest = package.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).map_err(|error| failed("read", &manifest, &error))?;
        folder::write(&manifest, &format!("{text}\n[workspace]\n"))?;
        let (from, lock) = (self.root.join("Cargo.lock"), package.join("Cargo.lock"));
        fs::copy(&from, &lock).map_err(|error| failed("copy", &from, &error))?;
        let mut metadata = cargo();
        metadata
            .args(["metadata", "--format-version", "1", "--config"])
            .arg(self.folder.join("patches.toml"));
        printed(metadata.arg("--manifest-path").arg(manifest)).map(drop)
    }

    fn cargo(&self, task: &str) -> Command {
        let mut command = cargo();
        command.arg(task).arg("--config").arg(self.folder.join("patches.toml"));
        command.arg("--target-dir").arg(&self.target);
        command
    }
}
