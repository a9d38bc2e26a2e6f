//! The configurations that compose mounts, checked by the programs that read them.

use std::fs;
use std::path::Path;
use std::process::Command;

use messagekit_config::Configuration;
use tempfile::TempDir;

use super::file::Service;
use crate::tree::{read, root};

/// Passes a text to the program of a service, together with the variables of the service. The error is that of the program.
pub(crate) fn check(service: &Service, text: &str) -> Result<(), String> {
    let path = service.configuration().unwrap_or_default();
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if service.command.first().is_some_and(|program| program == "messagekit-bridge") {
        let settings = Configuration::read((name, text), &service.environment)
            .and_then(|configuration| messagekit_bridge::program::Settings::read(&configuration));
        return settings.map(drop).map_err(|error| messagekit::chain(&error));
    }
    let folder = TempDir::new().expect("a folder can be made");
    let file = folder.path().join(name);
    fs::write(&file, text).expect("a file can be written");
    let program = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
    let subcommand = service.command.get(1).map_or("", String::as_str);
    let mut command = Command::new(&program);
    command.args([subcommand, "--check", "--config"]).arg(&file);
    command.env_clear().envs(&service.environment);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{} does not start ({error}): run `cargo build --workspace`", program.display())
    });
    match output.status.code() {
        Some(0) => Ok(()),
        Some(2) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        code => panic!("{subcommand} ended with {code:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Returns the addresses of Kafka in the mounted files of a service.
pub(crate) fn brokers(service: &Service) -> Vec<String> {
    let mounted = service.volumes.iter().filter_map(|volume| volume.split(':').next());
    let files = mounted.filter(|source| source.ends_with(".toml") && root().join(source).exists());
    let lines: Vec<String> =
        files.flat_map(|file| read(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let named = lines.iter().filter_map(|line| line.strip_prefix("brokers = "));
    named.flat_map(|list| list.split('"').skip(1).step_by(2).map(str::to_owned)).collect()
}
