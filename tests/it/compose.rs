//! The compose file and the image it builds. These tests start no container and check everything else. Each check is also
//! run on a file that it must refuse.

mod configuration;
mod file;
mod image;
mod rules;

use image::{bases, is_pinned, packages, programs_of, tag, workspace_programs};
use rules::findings;

use crate::tree::{read, root};

#[test]
fn the_compose_file_is_right() {
    let findings = findings(&read("docker-compose.yml"));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// An edit of the compose file that breaks it, and the finding.
const BROKEN: &[(&str, &str, &str)] = &[
    // The form: keys, values, types.
    ("    restart: unless-stopped", "    restrat: unless-stopped", "restrat"),
    ("    restart: unless-stopped", "    restart: sometimes", "sometimes"),
    ("      interval: 2s", "      intervall: 2s", "intervall"),
    ("volumes:\n  postgres-data:\n", "volume:\n  postgres-data:\n", "volume"),
    ("KAFKA_NODE_ID: \"1\"", "KAFKA_NODE_ID: 1", "quot"),
    ("condition: service_healthy", "condition: service_well", "service_well"),
    ("name: messagekit\n", "name: messagekit\nname: twice\n", "duplicate"),
    ("${ORDERS_PASSWORD:-orders}", "${ORDERS_PASSWORD}", "not of the form ${NAME:-default}"),
    // Images.
    ("postgres:17.10", "postgres", "postgres: the image postgres is not pinned"),
    ("postgres:17.10", "postgres:17", "postgres: the image postgres:17 is not pinned"),
    ("postgres:17.10", "postgres:latest", "postgres: the image postgres:latest is not pinned"),
    (
        "connect:3.7",
        "connect:3.6",
        "connect: the image quay.io/debezium/connect:3.6.0.Final is not of version",
    ),
    ("kafka:4.3", "kafka:4.2", "kafka: the image apache/kafka:4.2.1 is not of version"),
    ("messagekit:0.1.0", "messagekit:0.0.9", "orders: the image messagekit:0.0.9 is not of version"),
    // Mounts and volumes.
    ("./deploy/postgres/init.sh", "./deploy/postgres/gone.sh", "gone.sh is mounted and not there"),
    ("./deploy/postgres/init.sh", "./README.md", "./README.md is to be run and is not executable"),
    ("- kafka-data:", "- kafka-date:", "the volume kafka-date is not both declared and used"),
    // Settings and programs.
    (
        "MESSAGEKIT_ORDERS__LISTEN:",
        "MESSAGEKIT_ORDERS__LISTENS:",
        "orders: messagekit-orders does not know the setting MESSAGEKIT_ORDERS__LISTENS",
    ),
    (
        "MESSAGEKIT_BILLING__INSTANCE:",
        "MESSAGEKIT_BILLING__INSTANT:",
        "messagekit-billing does not know the setting",
    ),
    (
        "\"messagekit-shipping\"",
        "\"messagekit-ship\"",
        "shipping: the image has no program \"messagekit-ship\"",
    ),
    ("      SHIPPING_PASSWORD:", "      SHIPPER_PASSWORD:", "the init script does not read SHIPPER_PASSWORD"),
    // Databases and roles.
    ("@postgres:5432/billing", "@postgres:5432/orders", "orders: shares a database or a password"),
    ("postgres://billing:${BILLING", "postgres://orders:${ORDERS", "billing: comes to billing with the role"),
    (
        "postgres://billing:${BILLING_PASSWORD:-billing}",
        "postgres://billing:billing",
        "billing: comes to billing with",
    ),
    ("@postgres:5432/shipping", "@postgres:5432/parcels", "shipping: nothing makes the database parcels"),
    (
        "@postgres:5432/shipping",
        "@localhost:5432/shipping",
        "shipping: nothing makes the database shipping on localhost",
    ),
    ("postgres://shipping:", "sqlite:shipping:", "shipping: a database has no URL"),
    (
        "MESSAGEKIT_DATABASE__1__URL: *billing-database",
        "MESSAGEKIT_DATABASE__1__URL: postgres://billing:guess@postgres:5432/billing",
        "admin: comes to billing with",
    ),
    (
        "MESSAGEKIT_DATABASE__0__URL: *bookkeeper-database",
        "MESSAGEKIT_DATABASE__0__URL: *shipping-database",
        "shares a database or a password",
    ),
    // Configurations.
    (
        "/etc/messagekit/bridge.toml:ro",
        "/etc/messagekit/bridge.toml",
        "bridge: /etc/messagekit/bridge.toml is not mounted, or not read-only",
    ),
    (
        "\"--config\", \"/etc/messagekit/admin.toml\"",
        "\"--config\", \"/etc/admin.toml\"",
        "admin: /etc/admin.toml is not mounted",
    ),
    ("./deploy/bridge.toml:", "./deploy/admin.toml:", "bridge: "),
    ("MESSAGEKIT_RABBITMQ__URL:", "MESSAGEKIT_RABBITMQ__URI:", "rabbitmq.uri"),
    ("MESSAGEKIT_TOKEN__0__HASH:", "MESSAGEKIT_TOKEN__0__SECRET:", "token.0.secret"),
    ("ADMIN_TOKEN_HASH:-sha256:", "ADMIN_TOKEN_HASH:-sha256:0", "64 hexadecimal digits"),
    (
        "[\"messagekit-bridge\", \"--config\", \"/etc/messagekit/bridge.toml\"]",
        "[\"messagekit-bridge\"]",
        "belongs to a configuration, which is missing",
    ),
    (
        "amqp://messagekit:${RABBITMQ_PASSWORD:-messagekit}@",
        "amqp://guest:guest@",
        "shipping: comes to RabbitMQ as nobody",
    ),
    // Dependencies.
    ("      bookkeeper-migrate:\n", "      billing-migrate:\n", "does not wait for bookkeeper-migrate"),
    (
        "      shipping:\n        condition: service_started",
        "      shipping-migrate:\n        condition: service_started",
        "bridge: shipping-migrate cannot reach ServiceStarted",
    ),
    ("      orders-cdc:\n", "      orders-migrate:\n", "orders: does not wait for orders-cdc"),
    ("      shipping-migrate:\n", "      billing-migrate:\n", "shipping: does not wait for shipping-migrate"),
    (
        "      connect:\n        condition",
        "      worker:\n        condition",
        "waits for worker, which is no service",
    ),
    (
        "condition: service_completed_successfully",
        "condition: service_healthy",
        "cannot reach ServiceHealthy",
    ),
    ("      kafka:\n        condition", "      connect:\n        condition", "connect: waits for itself"),
    // Addresses.
    ("127.0.0.1:5432:5432", "5432:5432", "postgres: 5432:5432 is open to other machines"),
    ("127.0.0.1:5432:5432", "0.0.0.0:5432:5432", "postgres: 0.0.0.0:5432:5432 is open to other machines"),
    ("127.0.0.1:8080:8080", "127.0.0.1:8083:8080", "8083 is published twice"),
    ("HOST://127.0.0.1:9092", "HOST://127.0.0.1:9093", "kafka: no advertised listener is published"),
    (
        "MESSAGEKIT_KAFKA__BROKERS: kafka:19092",
        "MESSAGEKIT_KAFKA__BROKERS: kafka:9092",
        "which Kafka does not advertise to containers",
    ),
    (
        "BOOTSTRAP_SERVERS: kafka:19092",
        "BOOTSTRAP_SERVERS: 127.0.0.1:9092",
        "does not advertise to containers",
    ),
    // Health checks.
    ("      retries: 45", "      retries: 4500", "postgres: the health check"),
    ("[\"CMD\", \"curl\"", "[\"curl\"", "connect: the health check has no command"),
    ("      timeout: 15s", "      timeout: soon", "kafka: the health check"),
    // What watches the programs.
    ("profiles: [\"observability\"]", "profiles: [\"all\"]", "grafana: is not in the profile observability"),
    (
        "prom/prometheus:v3.5.0",
        "prom/prometheus:v3",
        "prometheus: the image prom/prometheus:v3 is not pinned",
    ),
    ("OTEL_EXPORTER_OTLP_ENDPOINT: *otlp", "OTEL_EXPORTER_OTLP_ENDPOIND: *otlp", "does not know the setting"),
    (
        "127.0.0.1:8091:8091",
        "127.0.0.1:8091:8092",
        "bookkeeper:8091 is scraped, and no service has this port",
    ),
    (
        "      prometheus:\n        condition: service_healthy",
        "      messagekit:\n        condition: service_healthy",
        "grafana: waits for messagekit, which is no service",
    ),
    (
        "      shipping-migrate:\n        condition: service_completed_successfully\n      rabbitmq:\n",
        "      shipping-migrate:\n        condition: service_completed_successfully\n      jaeger:\n",
        "shipping: waits for jaeger, which starts with a profile only",
    ),
    // The infrastructure alone.
    ("    hostname: rabbitmq\n", "", "rabbitmq: loses its data"),
    ("name: messagekit\n", "name: shop\n", "the project is called shop"),
    ("  rabbitmq:\n    image", "  rabbit:\n    image", "there is no service rabbitmq"),
    (
        "      kafka:\n        condition: service_healthy\n    healthcheck",
        "      orders-migrate:\n        condition: service_completed_successfully\n    healthcheck",
        "connect: brings orders-migrate along",
    ),
];

#[test]
fn every_rule_refuses_a_file_that_breaks_it() {
    let text = read("docker-compose.yml");
    for (from, to, says) in BROKEN {
        assert!(text.contains(from), "the compose file no longer has {from:?}");
        let findings = findings(&text.replace(from, to)).join("\n");
        assert!(
            findings.contains(says),
            "{from:?} became {to:?}, which should say {says:?}, and it says:\n{findings}"
        );
    }
}

/// An edit of a mounted file that breaks it, and the error of its program.
const MISWRITTEN: &[(&str, &str, &str, &str)] = &[
    ("bridge", "listen =", "listens =", "bridge.listens"),
    ("bridge", "[[rule]]", "[[rules]]", "there is no [[rule]]"),
    ("bridge", "\"{eventType}\"", "\"{eventType\"", "rule.0.routing_key"),
    ("bridge", "brokers = [\"kafka:19092\"]", "broker = \"kafka\"", "kafka.brokers"),
    ("bookkeeper", "queues =", "queue =", "bookkeeper.queue"),
    ("bookkeeper", "[[database]]", "[database]", "database"),
    ("bookkeeper", "\"0.0.0.0:8091\"", "\"everywhere\"", "bookkeeper.listen"),
    ("admin", "health =", "helth =", "admin.helth"),
    ("admin", "role = \"operator\"", "role = \"owner\"", "token.0.role"),
    ("admin", "[[token]]", "[[tokens]]", "tokens"),
    ("admin", "listen =", "listen", "admin.toml"),
];

#[test]
fn a_mounted_file_with_a_mistake_is_refused_by_its_program() {
    let file = file::interpolate(&read("docker-compose.yml"), |_, default| default.to_owned());
    let file = file::File::read(&file.expect("has defaults")).expect("is right");
    for (service, from, to, says) in MISWRITTEN {
        let text = read(&format!("deploy/{service}.toml"));
        assert!(text.contains(from), "deploy/{service}.toml no longer has {from:?}");
        let checked = configuration::check(&file.services[*service], &text.replacen(from, to, 1));
        let problem = checked.err().unwrap_or_else(|| panic!("{service}: {to:?} is taken"));
        assert!(problem.contains(says), "{service}: {to:?} should say {says:?}, and it says:\n{problem}");
    }
}

#[test]
fn what_the_mounted_files_name_is_what_the_programs_declare() {
    let (bridge, bookkeeper) = (read("deploy/bridge.toml"), read("deploy/bookkeeper.toml"));
    let exchange = format!("exchange = \"{}\"", messagekit_shipping::EXCHANGE);
    assert!(bridge.contains(&exchange), "the bridge publishes to another exchange than shipping declares");
    let queue = format!("queues = [\"{}\"]", messagekit_shipping::FAILED_MESSAGES);
    assert!(bookkeeper.contains(&queue), "the bookkeeper does not read what shipping's queue gives up");
    let name = bridge.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a name");
    assert!(
        bookkeeper.contains(&format!("topics = [\"{name}.dead\"]")),
        "the bridge's failed messages are not read"
    );
}

#[test]
fn image_is_built_from_pinned_bases_and_workspace_packages() {
    let dockerfile = read("Dockerfile");
    let bases = bases(&dockerfile);
    assert_eq!(bases.len(), 2, "one stage builds and one runs: {bases:?}");
    for base in &bases {
        assert!(tag(base).is_some_and(is_pinned), "{base} is not pinned");
    }
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next());
    let compiler = tag(bases[0]).and_then(|tag| tag.split('-').next());
    assert_eq!(compiler, channel, "the image and rust-toolchain.toml name different compilers");
    assert!(dockerfile.contains("cargo build --locked --release"));

    let workspace = workspace_programs();
    let (packages, programs) = (packages(&dockerfile), programs_of(&dockerfile));
    assert_eq!((packages.len(), programs.len()), (5, 5), "{packages:?} {programs:?}");
    for program in &programs {
        let package = workspace.iter().find(|(_, name)| name == program).map(|(package, _)| package.as_str());
        let package =
            package.unwrap_or_else(|| panic!("no package of the workspace has a program {program}"));
        assert!(packages.contains(&package), "{program} is a program of {package}, which is not built");
    }
    let user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER "));
    assert!(user.is_some_and(|user| !user.starts_with('0') && user != "root"), "runs as {user:?}");
}

#[test]
fn what_the_build_reads_is_sent_to_it() {
    let ignored = read(".dockerignore");
    let ignored: Vec<&str> =
        ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let needed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "migrations",
        "crates",
        "examples",
        "benches",
        "tests",
        "xtask",
    ];
    for name in needed {
        assert!(root().join(name).exists(), "{name} is not there");
        assert!(!ignored.contains(&name), "{name} is not sent to the build");
    }
    // With this file, the compiler of the image would first download components that only developers need.
    assert!(ignored.contains(&"rust-toolchain.toml"));
    for private in [".env", ".git"] {
        assert!(ignored.contains(&private), "{private} is sent to the build");
    }
}

#[test]
fn the_pages_name_the_images_that_compose_runs() {
    let file = file::interpolate(&read("docker-compose.yml"), |_, default| default.to_owned());
    let file = file::File::read(&file.expect("has defaults")).expect("is right");
    let notes = read("deploy/README.md");
    for service in file.services.values().filter(|service| service.build.is_none()) {
        assert!(
            notes.contains(&format!("`{}`", service.image)),
            "deploy/README.md does not name {}",
            service.image
        );
        let name = service.image.trim_end_matches(|character| character != ':');
        for path in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "deploy/README.md"] {
            let text = read(path);
            let versions = text.match_indices(name).map(|(at, _)| &text[at..]);
            for named in
                versions.filter(|named| named[name.len()..].starts_with(|next: char| next.is_ascii_digit()))
            {
                assert!(named.starts_with(&service.image), "{path} names another version of {name}");
            }
        }
    }
}
