//! The pinned versions of the downloads of the native stack.
//!
//! PostgreSQL, Java, Maven and RabbitMQ come from the system's packages; the highest PostgreSQL installed is used.

/// Kafka, for the broker and the Connect worker.
pub(crate) const KAFKA: &str = "4.3.1";

/// The PostgreSQL connector of Debezium.
pub(crate) const DEBEZIUM: &str = "3.7.0.Final";

/// The logging interface that Kafka is compiled against.
pub(crate) const SLF4J: &str = "1.7.36";

/// The logging that Kafka configures. Its own packages do not depend on it.
pub(crate) const LOG4J: &str = "2.25.4";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn no_other_file_of_this_program_names_a_pinned_version() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut read = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("versions.rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    read += 1;
                    for version in [KAFKA, DEBEZIUM, SLF4J, LOG4J] {
                        assert!(!text.contains(version), "{} names {version}", path.display());
                    }
                }
            }
        }
        assert!(read > 10, "only {read} files were looked at");
    }
}
