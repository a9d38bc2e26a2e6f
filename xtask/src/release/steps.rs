//! What makes the files of a release: cargo, the programs themselves for their pages, pip for the wheels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::archive;
use super::paths::{failed, files, made_anew};
use super::run::run;
use super::trial::Trial;
use crate::members;
use crate::stack::folder;
use crate::stage::{cargo, printed, unrelated};

/// The programs that users install, by package and name.
const PROGRAMS: [(&str, &str); 2] =
    [("messagekit-cli", "messagekit"), ("messagekit-bridge", "messagekit-bridge")];

/// What stands beside them.
const PAGES: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "messagekit.bash"), ("fish", "messagekit.fish"), ("zsh", "_messagekit")];

/// Begins the names of the folders in which crates are packed and tried.
const CRATES: &str = "crates-";

/// The folders whose `pyproject.toml` describes a wheel. Each names the other one's package by its version.
pub(super) const WHEELS: [&str; 2] = ["crates/messagekit-python", "crates/messagekit-python/kafka"];

/// The version that is released, and where its files stand.
pub(super) struct Release {
    pub(super) version: String,
    pub(super) root: PathBuf,
    /// The folder of cargo's output.
    pub(super) target: PathBuf,
    /// Where everything is made: what stands under its own name is whole.
    pub(super) unfinished: PathBuf,
    /// When the commit was made, as `2026-11-28T12:00:00+00:00`: the same commit makes the same files.
    pub(super) time: String,
    pub(super) profile: String,
}

impl Release {
    /// Returns the platform of this machine, for which the programs are built.
    pub(super) fn host(&self) -> Result<String, String> {
        let rustc = printed(Command::new("rustc").arg("-vV").current_dir(&self.root))?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(ToOwned::to_owned).ok_or_else(|| format!("rustc -vV names no host: {rustc}"))
    }

    /// Builds the programs, and packs them with their pages under the name of the platform.
    pub(super) fn programs(&self, platform: &str) -> Result<(), String> {
        let built = self.built()?;
        let name = format!("messagekit-{}-{platform}", self.version);
        let folder = self.target.join("dist").join(&name);
        made_anew(&folder)?;
        self.fill(&folder, &built)?;
        archive::pack(&folder, &self.unfinished.join(format!("{name}.tar.gz")), &self.time)
    }

    /// Builds the programs, and returns where cargo has put each: a folder may still have an earlier one.
    fn built(&self) -> Result<Vec<(PathBuf, &'static str)>, String> {
        let dist = self.target.join("dist");
        fs::create_dir_all(&dist).map_err(|error| failed("create", &dist, &error))?;
        let said = dist.join("build.json");
        let file = fs::File::create(&said).map_err(|error| failed("write", &said, &error))?;
        let mut build = cargo();
        build.args([
            "build",
            "--locked",
            "--message-format=json-render-diagnostics",
            "--profile",
            &self.profile,
        ]);
        build.args(PROGRAMS.iter().flat_map(|(package, _)| ["--package", package]));
        self.run(build.arg("--target-dir").arg(&self.target).stdout(file))?;
        let messages = fs::read_to_string(&said).map_err(|error| failed("read", &said, &error))?;
        let messages: Vec<Value> =
            messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let program = |name: &'static str| {
            let built = messages.iter().filter(|message| message["target"]["name"] == name);
            let path = built.filter_map(|message| message["executable"].as_str()).next_back();
            path.map(|path| (path.into(), name)).ok_or_else(|| format!("cargo has not built {name}"))
        };
        PROGRAMS.iter().map(|(_, name)| program(name)).collect()
    }

    /// Puts the programs, their man pages, completions and licences into a folder.
    fn fill(&self, folder: &Path, built: &[(PathBuf, &str)]) -> Result<(), String> {
        let completions = folder.join("completions");
        let pages = PAGES.map(|name| (self.root.join(name), name));
        for (from, name) in built.iter().chain(&pages) {
            fs::copy(from, folder.join(name)).map_err(|error| failed("copy", from, &error))?;
        }
        let program = folder.join("messagekit");
        self.run(Command::new(&program).args(["man", "--out"]).arg(folder.join("man")))?;
        for (shell, file) in COMPLETIONS {
            let text = printed(Command::new(&program).args(["completions", shell]))?;
            folder::write(&completions.join(file), &text)?;
        }
        Ok(())
    }

    /// Builds the wheels with the tools of their tests.
    pub(super) fn wheels(&self) -> Result<(), String> {
        let programs = self.target.join("dist").join("python");
        self.run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&programs))?;
        let programs = programs.join("bin");
        let mut pip = Command::new(programs.join("pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]);
        self.run(pip.arg(self.root.join(WHEELS[0]).join("tests/tools.txt")))?;
        // In a folder that is used once: maturin writes the libraries of these wheels into the one that cargo has built.
        let target = self.target.join("dist").join("wheel");
        folder::remove(&target)?;
        for folder in WHEELS {
            self.wheel(&programs, &self.root.join(folder), &target)?;
        }
        folder::remove(&target)
    }

    /// Builds the wheel of a folder with a `pyproject.toml`.
    fn wheel(&self, programs: &Path, folder: &Path, target: &Path) -> Result<(), String> {
        let mut maturin = unrelated(Command::new(programs.join("maturin")));
        // The profile of that name makes the smallest file.
        let profile = if self.profile == "release" { "wheel" } else { &self.profile };
        maturin.args(["build", "--profile", profile, "--locked", "--quiet", "--out"]);
        maturin.arg(&self.unfinished);
        // Where maturin looks for patchelf.
        let path = std::env::var("PATH").unwrap_or_default();
        maturin.env("PATH", format!("{}:{path}", programs.display()));
        // What an earlier wheel has left there names the libraries inside of that wheel.
        folder::remove(&target.join("maturin"))?;
        run(maturin.env("CARGO_TARGET_DIR", target), folder)
    }

    /// Packs all crates that are published, builds each from its archive, and tries them as a user would.
    pub(super) fn crates(&self) -> Result<(), String> {
        let dist = self.target.join("dist");
        remove_earlier(&dist)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A folder that is used once, under a name that is used once: cargo keeps what it has unpacked from the archives in it by its name, and
        // would build a crate with the earlier siblings of the same version.
        let target = dist.join(format!("{CRATES}{}", now.as_secs()));
        let mut package = cargo();
        package.args(["package", "--workspace", "--locked", "--allow-dirty", "--target-dir"]).arg(&target);
        package.args(members::unpublished()?.iter().flat_map(|name| ["--exclude", name]));
        self.run(&mut package)?;
        let mut archives = files(&target.join("package"))?;
        archives.retain(|path| path.extension().is_some_and(|extension| extension == "crate"));
        let trial = Trial::of(&self.version, &self.root, &archives, &target)?;
        trial.installs(&PROGRAMS)?;
        trial.builds_a_service()?;
        for archive in &archives {
            let name = archive.file_name().unwrap_or_default();
            fs::copy(archive, self.unfinished.join(name)).map_err(|error| failed("copy", archive, &error))?;
        }
        folder::remove(&target)
    }

    /// Writes the checksums of all files that are there, in the form of `sha256sum`, and returns them.
    pub(super) fn checksums(&self) -> Result<String, String> {
        let files = files(&self.unfinished)?;
        let names = files.iter().filter_map(|path| path.file_name());
        let sums = printed(Command::new("sha256sum").args(names).current_dir(&self.unfinished))?;
        self.write("SHA256SUMS", &sums)?;
        Ok(sums)
    }

    /// Writes a file of the release.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        folder::write(&self.unfinished.join(name), text)
    }

    fn run(&self, command: &mut Command) -> Result<(), String> {
        run(command, &self.root)
    }
}

/// Removes what a run that failed has left for a look.
fn remove_earlier(dist: &Path) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(dist) else { return Ok(()) };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_ours = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(CRATES))
    };
    folders.filter(is_ours).try_for_each(|folder| folder::remove(&folder))
}
