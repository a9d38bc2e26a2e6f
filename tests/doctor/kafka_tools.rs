//! The tools of Kafka that repairs name, from the jars of the stack's version.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The tools and their classes.
const TOOLS: [(&str, &str); 3] = [
    ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-consumer-groups.sh", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
];

/// Returns a folder with the tools.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(make);
    &FOLDER
}

fn make() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-tools-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let jars = std::env::var("MESSAGEKIT_STACK_DIST").ok().map(|dist| (libraries(&dist), more_jars(&dist)));
    for (tool, class) in TOOLS {
        let path = folder.join(tool);
        let run = match &jars {
            Some((jars, more)) => {
                format!(
                    "java -Xmx128m -XX:TieredStopAtLevel=1 -cp '{}/*:{}/*' {class}",
                    jars.display(),
                    more.display()
                )
            }
            // The stack is containers, and so are its tools.
            None => format!("docker compose exec -T kafka /opt/kafka/bin/{tool}"),
        };
        fs::write(&path, format!("#!/bin/sh\nexec {run} \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Returns the folder with the jars of the broker.
fn libraries(dist: &str) -> PathBuf {
    let versions = fs::read_dir(dist).expect("the stack has its jars").map(|entry| entry.unwrap().path());
    let mut versions: Vec<PathBuf> = versions.filter(|path| path.join("libs").is_dir()).collect();
    versions.sort();
    versions.pop().expect("the stack has its jars").join("libs")
}

/// Fetches the tools that the broker does without, once per version.
fn more_jars(dist: &str) -> PathBuf {
    let names = fs::read_dir(libraries(dist)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names = names.filter_map(|name| name.into_string().ok());
    let version =
        names.find_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()));
    let version = version.expect("the stack has the client of Kafka");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-tools-jars-{version}"));
    if folder.join(format!("kafka-tools-{version}.jar")).exists() {
        return folder;
    }
    let artifact = format!("-Dartifact=org.apache.kafka:kafka-tools:{version}");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "dependency:copy", &artifact]);
    maven.arg(format!("-DoutputDirectory={}", folder.display())).stdin(Stdio::null());
    // Without a project Maven looks for one in the folders above.
    let output = maven.current_dir(std::env::temp_dir()).output().expect("the stack needs Maven too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    folder
}
