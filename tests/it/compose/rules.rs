//! The rules of the compose file, beyond its form.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::configuration;
use super::file::{Condition, File, Service, interpolate};
use super::image;
use crate::tree::{read, root};

/// Findings, one line each. A correct file has none.
type Findings = Vec<String>;

/// Checks a compose file with its defaults, and once more with every variable set. A password in place of a
/// variable is correct only the first time.
pub(crate) fn findings(text: &str) -> Findings {
    let with_defaults = interpolate(text, |_, default| default.to_owned());
    let with_all_set = interpolate(text, |name, default| match default {
        hash if hash.starts_with("sha256:") => format!("sha256:{:064}", name.len()),
        "" => "http://jaeger:4318".to_owned(),
        _ => format!("the-{name}"),
    });
    let mut findings = Vec::new();
    for filled in [with_defaults, with_all_set] {
        match filled.and_then(|text| File::read(&text)) {
            Ok(file) => {
                for rule in [
                    images,
                    mounts,
                    settings,
                    configured,
                    databases,
                    brokers,
                    order,
                    dependencies,
                    ports,
                    listeners,
                    health,
                    stack,
                    observability,
                ] {
                    findings.extend(rule(&file));
                }
            }
            Err(error) => findings.push(error),
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Every image has a version of at least two numbers: images of this project that of the workspace, brokers that of the
/// native stack.
fn images(file: &File) -> Findings {
    let mut findings = Vec::new();
    for (name, service) in &file.services {
        let tag = image::tag(&service.image);
        if !tag.is_some_and(image::is_pinned) {
            findings.push(format!("{name}: the image {} is not pinned to a version", service.image));
        }
        let wanted = match name.as_str() {
            "kafka" => image::stack_version("KAFKA"),
            "connect" => image::stack_version("DEBEZIUM"),
            _ if service.build.is_some() => env!("CARGO_PKG_VERSION").to_owned(),
            _ => continue,
        };
        if tag != Some(wanted.as_str()) {
            findings.push(format!("{name}: the image {} is not of version {wanted}", service.image));
        }
    }
    findings
}

/// Every mounted file exists, and a script that the image runs is executable. Every other volume is declared.
fn mounts(file: &File) -> Findings {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (name, service) in &file.services {
        for volume in &service.volumes {
            let (source, target) = volume.split_once(':').unwrap_or((volume, ""));
            if !source.starts_with(['.', '/', '~']) {
                used.insert(source);
                continue;
            }
            let Ok(found) = fs::metadata(root().join(source)) else {
                findings.push(format!("{name}: {source} is mounted and not there"));
                continue;
            };
            let runs = target.starts_with("/docker-entrypoint-initdb.d/");
            if runs && found.permissions().mode() & 0o111 != 0o111 {
                findings.push(format!("{name}: {source} is to be run and is not executable"));
            }
        }
    }
    let declared: BTreeSet<&str> = file.volumes.keys().map(String::as_str).collect();
    let odd = used.symmetric_difference(&declared);
    findings.extend(odd.map(|volume| format!("the volume {volume} is not both declared and used")));
    findings
}

/// Every program reads each of its variables, and exists in the image.
fn settings(file: &File) -> Findings {
    let mut findings = Vec::new();
    for (name, service) in file.ours() {
        let program = service.command.first().map_or("", String::as_str);
        if !image::programs().iter().any(|known| known == program) {
            findings.push(format!("{name}: the image has no program {program:?}"));
        }
        for key in service.environment.keys().filter(|key| !image::reads(program, key)) {
            findings.push(format!("{name}: {program} does not know the setting {key}"));
        }
    }
    let script = read("deploy/postgres/init.sh");
    let given = file.services.get("postgres").map(|postgres| &postgres.environment);
    for (key, _) in given.into_iter().flatten().filter(|(key, _)| !key.starts_with("POSTGRES_")) {
        if !script.contains(&format!("${{{key}:?")) {
            findings.push(format!("postgres: the init script does not read {key}"));
        }
    }
    findings
}

/// A configuration is mounted read-only, and its program accepts it together with the variables.
fn configured(file: &File) -> Findings {
    let mut findings = Vec::new();
    for (name, service) in file.ours() {
        let Some(path) = service.configuration() else {
            // The programs of the shop need no file.
            let needs_file = service.command.first().is_some_and(|program| image::reads_file(program));
            let odd = service.environment.keys().filter(|key| needs_file && key.contains("__"));
            findings
                .extend(odd.map(|key| format!("{name}: {key} belongs to a configuration, which is missing")));
            continue;
        };
        let mounted =
            service.volumes.iter().find_map(|volume| match volume.split(':').collect::<Vec<_>>()[..] {
                [source, target, "ro"] if target == path => Some(source),
                _ => None,
            });
        let Some(text) = mounted.and_then(|source| fs::read_to_string(root().join(source)).ok()) else {
            findings.push(format!("{name}: {path} is not mounted, or not read-only"));
            continue;
        };
        if let Err(problem) = configuration::check(service, &text) {
            findings.push(format!("{name}: {problem}"));
        }
    }
    findings
}

/// Every client of RabbitMQ uses the user that is created there.
fn brokers(file: &File) -> Findings {
    let nothing = Service::default();
    let server = &file.services.get("rabbitmq").unwrap_or(&nothing).environment;
    let given = |key: &str| server.get(key).map_or("", String::as_str);
    let (user, password) = (given("RABBITMQ_DEFAULT_USER"), given("RABBITMQ_DEFAULT_PASS"));
    let wanted = format!("amqp://{user}:{password}@rabbitmq:5672/%2f");
    let told = file
        .ours()
        .filter_map(|(name, service)| Some((name, service.environment.get("MESSAGEKIT_RABBITMQ__URL")?)));
    let odd = told.filter(|(_, url)| **url != wanted);
    odd.map(|(name, _)| format!("{name}: comes to RabbitMQ as nobody who is known there")).collect()
}

/// Each service has its own database, role and password, which the init script creates. Only the jobs that create a
/// slot connect as the administrator, and only the admin connects to several databases.
fn databases(file: &File) -> Findings {
    let mut findings = Vec::new();
    let script = read("deploy/postgres/init.sh");
    let nothing = Service::default();
    let server = &file.services.get("postgres").unwrap_or(&nothing).environment;
    let given = |key: &str| server.get(key).map_or("", String::as_str);
    let (mut databases, mut passwords) = (BTreeSet::new(), BTreeSet::new());
    let asked = file.ours().flat_map(|(name, service)| {
        service.databases().into_iter().map(move |access| (name, service, access))
    });
    for (name, service, access) in asked {
        let Some(access) = access else {
            findings.push(format!("{name}: a database has no URL with role, password, server and database"));
            continue;
        };
        let owner = (access.database, given(&format!("{}_PASSWORD", access.database.to_uppercase())));
        let wanted = if service.command.iter().any(|word| word == "--cdc") {
            (given("POSTGRES_USER"), given("POSTGRES_PASSWORD"))
        } else {
            owner
        };
        if (access.role, access.password) != wanted {
            findings
                .push(format!("{name}: comes to {} with the role or password of another", access.database));
        }
        if access.server != "postgres:5432" || !script.contains(&format!("  ('{}', ", access.database)) {
            findings
                .push(format!("{name}: nothing makes the database {} on {}", access.database, access.server));
        }
        // The admin connects to each database as its owner: that is its purpose.
        if service.is_one_shot() || service.is_admin() {
            continue;
        }
        let own = databases.insert(access.database) && passwords.insert(access.password);
        if !own {
            findings.push(format!("{name}: shares a database or a password with another service"));
        }
    }
    findings
}

/// No service starts before its tables and its slot exist: an event that is committed before its slot exists is never published.
fn order(file: &File) -> Findings {
    let mut findings = Vec::new();
    for (name, service) in file.ours().filter(|(_, service)| !service.migrates()) {
        for access in service.databases().into_iter().flatten() {
            for (job, _) in file.ours().filter(|(_, job)| job.migrates() && job.uses(access.database)) {
                if !file.before(name).contains(job) {
                    findings.push(format!("{name}: does not wait for {job}"));
                }
            }
        }
    }
    findings
}

/// Every dependency exists and can reach the required condition.
fn dependencies(file: &File) -> Findings {
    let mut findings = Vec::new();
    for (name, service) in &file.services {
        if file.before(name).contains(name.as_str()) {
            findings.push(format!("{name}: waits for itself"));
        }
        for (needed, dependency) in &service.depends_on {
            let fits = file.services.get(needed).map(|needed| match dependency.condition {
                Condition::ServiceHealthy => needed.healthcheck.is_some(),
                Condition::ServiceStarted => !needed.is_one_shot(),
                Condition::ServiceCompletedSuccessfully => needed.is_one_shot(),
            });
            match fits {
                None => findings.push(format!("{name}: waits for {needed}, which is no service")),
                Some(false) => {
                    findings.push(format!("{name}: {needed} cannot reach {:?}", dependency.condition));
                }
                Some(true) => {}
            }
        }
    }
    findings
}

/// Ports are published on the loopback address only, each once.
fn ports(file: &File) -> Findings {
    let mut findings = Vec::new();
    let mut taken = BTreeSet::new();
    for (name, service) in &file.services {
        for port in &service.ports {
            let published = port.strip_prefix("127.0.0.1:").and_then(|ports| ports.split_once(':'));
            match published {
                None => findings.push(format!("{name}: {port} is open to other machines")),
                Some((host, _)) if !taken.insert(host) => {
                    findings.push(format!("{name}: {host} is published twice"));
                }
                Some(_) => {}
            }
        }
    }
    findings
}

/// Clients get addresses of Kafka that it advertises: in containers the one for containers, on the host a published one.
fn listeners(file: &File) -> Findings {
    let mut findings = Vec::new();
    let Some(kafka) = file.services.get("kafka") else { return findings };
    let advertised = kafka.environment.get("KAFKA_ADVERTISED_LISTENERS").map_or("", String::as_str);
    let addresses: Vec<&str> =
        advertised.split(',').filter_map(|listener| Some(listener.split_once("://")?.1)).collect();
    let on_host = addresses.iter().any(|address| kafka.ports.iter().any(|port| port.starts_with(*address)));
    if !on_host {
        findings.push("kafka: no advertised listener is published to the host".to_owned());
    }
    for (name, service) in &file.services {
        let read = configuration::brokers(service);
        let told = ["MESSAGEKIT_KAFKA__BROKERS", "BOOTSTRAP_SERVERS"]
            .into_iter()
            .filter_map(|key| Some((key, service.environment.get(key)?)))
            .chain(read.iter().map(|address| ("kafka.brokers", address)));
        for (key, address) in told {
            if !address.starts_with("kafka:") || !addresses.contains(&address.as_str()) {
                findings.push(format!(
                    "{name}: {key} is {address}, which Kafka does not advertise to containers"
                ));
            }
        }
    }
    findings
}

/// A health check has a command and times in seconds. It allows a slow machine a minute, and reports a broken service
/// within three.
fn health(file: &File) -> Findings {
    let mut findings = Vec::new();
    let seconds = |text: &str| text.strip_suffix('s').and_then(|number| number.parse::<u32>().ok());
    for (name, service) in &file.services {
        let Some(check) = &service.healthcheck else { continue };
        let command = matches!(check.test.as_slice(), [kind, _, ..] if kind == "CMD" || kind == "CMD-SHELL");
        let (interval, timeout) = (seconds(&check.interval), seconds(&check.timeout));
        let patience = interval.zip(timeout).map_or(0, |(interval, _)| interval * check.retries);
        if !command || !(60..=180).contains(&patience) {
            findings.push(format!(
                "{name}: the health check has no command, or does not give up after 1 to 3 minutes"
            ));
        }
    }
    findings
}

/// The infrastructure can be started alone, with health checks to wait for.
fn stack(file: &File) -> Findings {
    let mut findings = Vec::new();
    if file.name != "messagekit" {
        findings.push(format!("the project is called {}", file.name));
    }
    let stack = ["postgres", "kafka", "connect", "rabbitmq"];
    let rabbitmq = file.services.get("rabbitmq").and_then(|service| service.hostname.as_deref());
    if rabbitmq != Some("rabbitmq") {
        findings.push(
            "rabbitmq: loses its data with the container, it is filed under the host's name".to_owned(),
        );
    }
    for name in stack {
        let Some(service) = file.services.get(name) else {
            findings.push(format!("there is no service {name}"));
            continue;
        };
        if service.healthcheck.is_none() || service.ports.is_empty() || service.is_one_shot() {
            findings.push(format!("{name}: lacks a health check, a port or a restart policy"));
        }
        if let Some(needed) = service.depends_on.keys().find(|needed| !stack.contains(&needed.as_str())) {
            findings.push(format!("{name}: brings {needed} along"));
        }
    }
    findings
}

/// What watches the programs starts with its profile only, no program waits for it, and Prometheus asks addresses that exist.
fn observability(file: &File) -> Findings {
    let mut findings = Vec::new();
    for name in ["prometheus", "grafana", "jaeger"] {
        let service = file.services.get(name);
        if service
            .is_none_or(|service| service.profiles != ["observability"] || service.healthcheck.is_none())
        {
            findings.push(format!("{name}: is not in the profile observability, or lacks a health check"));
        }
    }
    for (name, service) in file.services.iter().filter(|(_, service)| service.profiles.is_empty()) {
        let behind = |needed: &&String| file.services.get(*needed).is_some_and(|it| !it.profiles.is_empty());
        if let Some(needed) = service.depends_on.keys().find(behind) {
            findings.push(format!("{name}: waits for {needed}, which starts with a profile only"));
        }
    }
    let configuration = read("deploy/prometheus/prometheus.yml");
    let lists = configuration.lines().filter_map(|line| line.trim().strip_prefix("- targets: ["));
    for target in lists.flat_map(|list| list.trim_end_matches(']').split(", ")) {
        let (name, port) = target.split_once(':').unwrap_or((target, ""));
        let ports = file.services.get(name).map_or(&[][..], |service| &service.ports);
        if !ports.iter().any(|published| published.ends_with(&format!(":{port}"))) {
            findings.push(format!("prometheus: {target} is scraped, and no service has this port"));
        }
    }
    findings
}
