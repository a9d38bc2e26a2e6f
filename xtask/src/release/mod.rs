//! `cargo xtask release`: makes everything that a release consists of in one folder. It publishes nothing.
//!
//! The folder has the programs with their pages, the wheels for Python, the archives of the crates, the bill of materials, the notes, and
//! the checksums of all.

mod archive;
mod changelog;
mod compatibility;
mod materials;
mod paths;
mod run;
mod steps;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::members;
use crate::stack::folder::remove;
use crate::stage::printed;
use crate::terminal::say;

use materials::Materials;
use paths::{failed, made_anew};
use steps::{Release, WHEELS};

/// What is made, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder to make, which must not exist; by default target/dist/VERSION, or target/dist/unreleased, which is made anew
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make these only; notes, bill of materials and checksums are always made
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "compatibility,programs,wheel,crates",
        value_name = "PARTS"
    )]
    only: Vec<Product>,
    /// The profile of the programs; `dev` is quick, to try a release
    #[arg(long, default_value = "release", value_name = "NAME")]
    profile: String,
    /// Make it of what is there now: with changes that are not committed, and the notes of what is unreleased
    #[arg(long)]
    unreleased: bool,
}

/// What takes time to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    /// No file, but a comparison: whether the version says what changes for the code of users since the release before
    Compatibility,
    /// `messagekit` and `messagekit-bridge` with man pages, completions and licences
    Programs,
    /// The package for Python
    Wheel,
    /// The archives of all published crates, each built from its archive; programs are installed from them, and a service is built
    Crates,
}

/// What is to be made.
struct Plan {
    release: Release,
    notes: String,
    /// The folder of the finished release.
    out: PathBuf,
    /// Whether an earlier one there goes, once this one is whole.
    is_replaced: bool,
    /// The commit that is released.
    commit: Option<String>,
}

/// Makes a release in its folder, and says what is in it.
///
/// # Errors
/// Returns an error before anything is made if the folder exists, the changelog has no such version or changes are not committed, and with
/// the command that failed afterwards.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let Plan { release, notes, out, is_replaced, commit } = Plan::of(options)?;
    made_anew(&release.unfinished)?;
    release.write("NOTES.md", &notes)?;
    let platform = release.host()?;
    let materials = Materials::of(&release.root, &platform)?.document(&release.version, &release.time);
    release.write(&format!("messagekit-{}.cdx.json", release.version), &materials)?;
    for product in &options.only {
        match product {
            Product::Compatibility => release.compatibility()?,
            Product::Programs => release.programs(&platform)?,
            Product::Wheel => release.wheels()?,
            Product::Crates => release.crates()?,
        }
    }
    if let Some(commit) = commit
        && committed(&release.root)? != commit
    {
        return Err(format!("another commit than {commit} is checked out now: make the release anew"));
    }
    let checksums = release.checksums()?;
    if is_replaced {
        remove(&out)?;
    }
    fs::rename(&release.unfinished, &out).map_err(|error| failed("rename", &release.unfinished, &error))?;
    say(format_args!("\nmessagekit {} in {}:\n{checksums}", release.version, out.display()));
    Ok(ExitCode::SUCCESS)
}

/// Checks that the two wheels name each other by the version: pip would find no pair of them.
fn wheels_agree(root: &Path, version: &str) -> Result<(), String> {
    // As PEP 440 writes it.
    let pin = format!("=={}", version.replace("-alpha.", "a").replace("-beta.", "b").replace("-rc.", "rc"));
    for folder in WHEELS {
        let path = root.join(folder).join("pyproject.toml");
        let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, &error))?;
        let mut pins =
            text.lines().filter(|line| line.contains("messagekit-rs") && line.contains("==")).peekable();
        if pins.peek().is_none() || !pins.all(|line| line.contains(&format!("{pin}\""))) {
            return Err(format!("{folder}/pyproject.toml must name the other wheel with {pin}"));
        }
    }
    Ok(())
}

impl Plan {
    fn of(options: &Options) -> Result<Self, String> {
        let metadata = members::metadata()?;
        let path = |name: &str| PathBuf::from(metadata[name].as_str().unwrap_or_default());
        let (root, target) = (path("workspace_root"), path("target_directory"));
        let version = version(&metadata)?;
        let page = root.join("CHANGELOG.md");
        let text = fs::read_to_string(&page).map_err(|error| failed("read", &page, &error))?;
        let notes = changelog::section(&text, if options.unreleased { "Unreleased" } else { &version })?;
        let notes = changelog::with_addresses(&notes, &format!("{}/blob/v{version}", repository(&metadata)));
        let commit = if options.unreleased { None } else { Some(committed(&root)?) };
        wheels_agree(&root, &version)?;
        let time = git(&["log", "-1", "--format=%cI"], &root)?.trim().to_owned();
        let usual = target.join("dist").join(if options.unreleased { "unreleased" } else { &version });
        let is_replaced = options.unreleased && options.out.is_none();
        let out = options.out.clone().unwrap_or(usual);
        let out = std::path::absolute(&out).map_err(|error| failed("find", &out, &error))?;
        // Without a slash at its end.
        let out: PathBuf = out.components().collect();
        if out.exists() && !is_replaced {
            return Err(format!("{} exists: remove it, or name another folder with --out", out.display()));
        }
        let mut unfinished = out.clone().into_os_string();
        unfinished.push(".unfinished");
        let (unfinished, profile) = (unfinished.into(), options.profile.clone());
        Ok(Self {
            release: Release { version, root, target, unfinished, time, profile },
            notes,
            out,
            is_replaced,
            commit,
        })
    }
}

/// Returns the commit that is checked out.
///
/// # Errors
/// Returns an error if there are changes that are not in it.
fn committed(root: &Path) -> Result<String, String> {
    let changed = git(&["status", "--porcelain"], root)?;
    if !changed.is_empty() {
        return Err(format!(
            "these changes are not committed, and a release is made of a commit (--unreleased tries one):\n{changed}"
        ));
    }
    Ok(git(&["rev-parse", "HEAD"], root)?.trim().to_owned())
}

fn git(arguments: &[&str], root: &Path) -> Result<String, String> {
    printed(Command::new("git").args(arguments).current_dir(root))
}

/// Returns the version of the library, which is that of all its crates.
fn version(metadata: &Value) -> Result<String, String> {
    let version = library(metadata)["version"].as_str();
    version.map(ToOwned::to_owned).ok_or_else(|| "no package is named messagekit".to_owned())
}

fn repository(metadata: &Value) -> &str {
    library(metadata)["repository"].as_str().unwrap_or_default()
}

fn library(metadata: &Value) -> &Value {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().find(|package| package["name"] == "messagekit").unwrap_or(&Value::Null)
}
