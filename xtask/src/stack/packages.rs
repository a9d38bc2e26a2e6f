//! The system packages that the native stack needs: finds missing ones and installs them if it may.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder::{self, Folder};
use super::jars::Jars;
use super::service::Service;
use super::{postgres, process, rabbitmq};
use crate::guard;
use crate::terminal::note;

/// The script that Debian's packages run before they start a system service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Returns whether this machine belongs to a CI run and exists only for it.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Ensures that everything is installed that the services need beside this program. As root it installs missing packages;
/// otherwise the error holds the command to run.
pub(crate) fn for_services(folder: &Folder, services: &[Service]) -> Result<(), String> {
    let java = services.iter().any(|service| matches!(service, Service::Kafka | Service::Connect));
    let missing = chosen(&[
        ("postgresql", services.contains(&Service::Postgres) && postgres::programs().is_none()),
        ("default-jre-headless", java && !on_path("java")),
        ("maven", java && !Jars::of(folder).are_complete() && !on_path("mvn")),
        ("rabbitmq-server", services.contains(&Service::Rabbitmq) && !Path::new(rabbitmq::SERVER).exists()),
    ]);
    install(&missing, &folder.log("apt"))
}

/// Ensures the same for the build and the tests of the workspace, beside Rust and a C compiler: librdkafka is compiled from C and
/// C++, and uses OpenSSL. On a system without apt-get the build itself reports what is missing.
pub(crate) fn for_build(folder: &Folder) -> Result<(), String> {
    if !on_path("apt-get") {
        return Ok(());
    }
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing = chosen(&[
        ("g++", !on_path("c++")),
        ("make", !on_path("make")),
        ("pkg-config", !on_path("pkg-config")),
        (
            "libssl-dev",
            std::env::var_os("OPENSSL_DIR").is_none() && !works("pkg-config", &["--exists", "openssl"]),
        ),
        ("python3", !on_path("python3")),
        ("python3-venv", !works("python3", &["-c", "import ensurepip, venv"])),
        ("curl", !on_path("curl")),
        // Holds promtool, which runs the alert rules.
        ("prometheus", !on_path("promtool")),
    ]);
    install(&missing, &folder.log("apt"))
}

fn chosen(needs: &[(&'static str, bool)]) -> Vec<&'static str> {
    needs.iter().filter(|(_, missing)| *missing).map(|(package, _)| *package).collect()
}

/// Installs missing packages as root, without starting their services; otherwise the error holds the command to run.
fn install(missing: &[&str], log: &Path) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        return Err(advice(missing));
    }
    let _policy = Policy::forbid_services(Path::new(POLICY))?;
    note(format_args!("installing {} (the log is {})", missing.join(", "), log.display()));
    folder::write(log, "")?;
    apt(&["update"], log)?;
    apt(&[&["install", "--yes", "--no-install-recommends"], missing].concat(), log)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn advice(missing: &[&str]) -> String {
    let (list, packages) = (missing.join(", "), missing.join(" "));
    format!(
        "missing system packages: {list}; install them with `sudo apt-get install --no-install-recommends {packages}`"
    )
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
}

fn apt(args: &[&str], log: &Path) -> Result<(), String> {
    let output = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (output, errors) = output.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let mut command = Command::new("apt-get");
    // Another apt-get may be running, as on a machine that has just booted.
    command.args(["--quiet", "--option", "DPkg::Lock::Timeout=300"]).args(args);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(output).stderr(errors);
    let status = guard::status(&mut command).map_err(|error| {
        format!("cannot start apt-get: {error}; on a system without it, start a Docker engine instead")
    })?;
    if status.success() {
        return Ok(());
    }
    Err(format!("apt-get {} failed ({status}); {}", args.join(" "), process::end_of(log)))
}

/// Prevents packages from starting their services on the standard ports. A drop removes it.
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    fn forbid_services(path: &Path) -> Result<Self, String> {
        if path.exists() {
            return Ok(Self { ours: None });
        }
        // 101 means "not allowed".
        folder::write(path, "#!/bin/sh\nexit 101\n")?;
        let policy = Self { ours: Some(path.to_owned()) };
        fs::set_permissions(path, Permissions::from_mode(0o755))
            .map_err(|error| format!("cannot make {} executable: {error}", path.display()))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.ours
            && let Err(error) = folder::remove(path)
        {
            note(format_args!("{error}; remove it by hand, or no package will start its service"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_a_command_to_copy() {
        let advice = advice(&["postgresql", "maven"]);
        assert!(advice.starts_with("missing system packages: postgresql, maven; "), "{advice}");
        assert!(
            advice.contains("`sudo apt-get install --no-install-recommends postgresql maven`"),
            "{advice}"
        );
    }

    #[test]
    fn only_a_policy_of_our_own_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        let policy = Policy::forbid_services(&path).unwrap();
        let refused = Command::new("sh").arg(&path).status().unwrap();
        assert_eq!(refused.code(), Some(101));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111);
        let second = Policy::forbid_services(&path).unwrap();
        drop(second);
        assert!(path.exists(), "it was not made by the second");
        drop(policy);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_is_installed_for_no_service() {
        let folder = tempfile::tempdir().unwrap();
        for_services(&Folder::at(folder.path()), &[]).unwrap();
        assert!(!folder.path().join("log").exists());
    }
}
