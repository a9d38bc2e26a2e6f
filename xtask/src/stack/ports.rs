//! The ports of a stack: picked once, stored, and the same after every restart.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::folder;
use super::service::Service;

/// The range of picked ports. Linux assigns ports from 32768 on to outgoing connections, one of which could hold a
/// service's port while that service restarts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The ports by name, stored in a file of `name=port` lines.
#[derive(Debug)]
pub(crate) struct Ports {
    file: PathBuf,
    ports: BTreeMap<String, u16>,
}

impl Ports {
    /// Reads the ports in `file`. Without the file there are none.
    pub(crate) fn remembered(file: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
        };
        let entry = |line: &str| {
            let (name, port) = line.split_once('=')?;
            Some((name.to_owned(), port.parse().ok()?))
        };
        let ports = text.lines().map(|line| {
            entry(line).ok_or_else(|| {
                format!("{} holds {line:?} where name=port is expected; delete the file", file.display())
            })
        });
        Ok(Self { file: file.to_owned(), ports: ports.collect::<Result<_, _>>()? })
    }

    /// Picks the missing ports of `services`, and stores them.
    pub(crate) fn assign(&mut self, services: &[Service]) -> Result<(), String> {
        let names = services.iter().flat_map(|service| service.ports()).copied();
        let missing: Vec<&str> = names.filter(|name| !self.ports.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for name in missing {
            let mut picks = (0..1000).map(|_| fastrand::u16(RANGE));
            let port = picks.find(|port| self.ports.values().all(|taken| taken != port) && is_free(*port));
            let port = port.ok_or("no port between 20000 and 32000 is free on 127.0.0.1")?;
            self.ports.insert(name.to_owned(), port);
        }
        let lines: String = self.ports.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
        folder::write(&self.file, &lines)
    }

    /// Returns whether a service has its ports.
    pub(crate) fn knows(&self, service: Service) -> bool {
        service.ports().iter().all(|name| self.ports.contains_key(*name))
    }

    /// Returns the port with that name, or 0 when none was picked: no process listens on port 0.
    pub(crate) fn get(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or(0)
    }

    /// Fails when another process listens on a port of a service that does not run.
    pub(crate) fn free(&self, service: Service) -> Result<(), String> {
        let since = Instant::now();
        for name in service.ports() {
            let port = self.get(name);
            while !is_free(port) {
                // The ports of a killed process are released a moment after its end.
                if since.elapsed() > Duration::from_secs(2) {
                    return Err(format!(
                        "port {port} of {service} is taken by another process; end that one, or pick new ports with \
                         `cargo xtask stack down --wipe`"
                    ));
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }
}

/// Returns whether the port is free.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_stay_the_same_when_another_service_joins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports");
        let mut first = Ports::remembered(&file).unwrap();
        assert!(!first.knows(Service::Postgres));
        first.assign(&[Service::Postgres, Service::Kafka]).unwrap();

        let mut later = Ports::remembered(&file).unwrap();
        later.assign(&Service::ALL).unwrap();
        for name in ["postgres", "kafka", "kafka-controller"] {
            assert_eq!(first.get(name), later.get(name));
        }
        let all = Ports::remembered(&file).unwrap();
        assert!(Service::ALL.into_iter().all(|service| all.knows(service)));
        let names: Vec<&str> = Service::ALL.iter().flat_map(|service| service.ports()).copied().collect();
        let different: BTreeSet<u16> = names.iter().map(|name| all.get(name)).collect();
        assert_eq!(different.len(), names.len());
        assert!(different.iter().all(|port| RANGE.contains(port)));
    }

    #[test]
    fn a_taken_port_is_refused_with_its_service() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::remembered(&folder.path().join("ports")).unwrap();
        ports.assign(&[Service::Connect]).unwrap();
        ports.free(Service::Connect).unwrap();
        let port = ports.get("connect");
        let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let refusal = ports.free(Service::Connect).unwrap_err();
        assert!(refusal.starts_with(&format!("port {port} of connect is taken")), "{refusal}");
    }

    #[test]
    fn a_damaged_file_is_an_error_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports");
        fs::write(&file, "postgres=x\n").unwrap();
        let refusal = Ports::remembered(&file).unwrap_err();
        assert!(refusal.contains("\"postgres=x\""), "{refusal}");
    }
}
