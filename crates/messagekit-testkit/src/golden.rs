//! Golden payloads: the data of every version of an event, kept as files.

use std::path::{Path, PathBuf};
use std::{fs, io};

use messagekit::adapter::codec::read_data;
use messagekit::{DataVersion, Event};
use serde_json::Value;

/// The variable that lets a test write the golden payload of a new version.
const WRITE: &str = "MESSAGEKIT_GOLDEN";

/// Checks that an event is written as its golden payload and reads those of all versions; returns what each was read as,
/// oldest first.
///
/// The payloads are the files `FOLDER/TYPE/VERSION.json`, to be committed. Run a test with `MESSAGEKIT_GOLDEN=write` once to
/// write the file of a new version; an existing file is never changed. Services receive events for as long as topics and
/// failed messages are kept, so the files stay when a version is no longer written.
///
/// ```
/// use messagekit::Event;
/// use messagekit_testkit::golden;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String, pence: i64 }
///
/// let folder = std::env::temp_dir().join(messagekit_testkit::unique("golden"));
/// # std::fs::create_dir_all(folder.join("orders.order.placed"))?;
/// # std::fs::write(folder.join("orders.order.placed/1.0.json"), r#"{"order_id":"o-1","pence":995}"#)?;
/// let read = golden(&folder, &OrderPlaced { order_id: "o-1".into(), pence: 995 });
/// assert_eq!(read.len(), 1);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Panics with the file and the cure if the version has no file, if the event is written differently, or if a payload of
/// any version is not read.
#[track_caller]
pub fn golden<E: Event>(folder: impl AsRef<Path>, sample: &E) -> Vec<(DataVersion, E)> {
    check(folder.as_ref(), sample, std::env::var(WRITE).is_ok_and(|value| value == "write"))
}

#[track_caller]
fn check<E: Event>(folder: &Path, sample: &E, writes: bool) -> Vec<(DataVersion, E)> {
    let folder = folder.join(E::TYPE);
    // First: the payload of a version that does not read an earlier one must not be kept.
    let mut read =
        if folder.exists() { read_kept(&folder, |version| version != E::VERSION) } else { Vec::new() };
    check_written(&folder.join(format!("{}.json", E::VERSION)), sample, writes);
    read.extend(read_kept(&folder, |version| version == E::VERSION));
    read.sort_by_key(|(version, _)| *version);
    read
}

/// Reads the payloads of chosen versions.
#[track_caller]
fn read_kept<E: Event>(folder: &Path, is_chosen: impl Fn(&str) -> bool) -> Vec<(DataVersion, E)> {
    versions(folder)
        .into_iter()
        .filter(|(version, _)| is_chosen(version))
        .map(|(version, path)| {
            let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            match read_data::<E>(&version, &data) {
                Ok(event) => {
                    let version = DataVersion::read(&version).expect("read_data has read it");
                    check_kept(version, &data, &event, &path);
                    (version, event)
                }
                Err(error) => panic!("{} {} does not read {}: {error}", E::TYPE, E::VERSION, path.display()),
            }
        })
        .collect()
}

/// Compares the sample with the file of its version, or writes the file.
#[track_caller]
fn check_written<E: Event>(path: &Path, sample: &E, writes: bool) {
    let written = serde_json::to_value(sample).expect("an event is JSON");
    let kept = fs::read(path);
    if kept.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        assert!(
            writes,
            "{} {} has no golden payload {}: run this test once with {WRITE}=write and commit the file",
            E::TYPE,
            E::VERSION,
            path.display()
        );
        let text = serde_json::to_string_pretty(&written).expect("a value is JSON") + "\n";
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).expect("the payload can be written");
        return;
    }
    let kept = kept.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kept: Value =
        serde_json::from_slice(&kept).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        kept == written,
        "{} {} is not written as {}: raise the minor version if you only added fields that have a default, \
         else the major version, with an upcaster. Written now: {written}",
        E::TYPE,
        E::VERSION,
        path.display()
    );
}

/// Checks that a payload of the same major version lost nothing: a field that is renamed or removed is another major version.
#[track_caller]
fn check_kept<E: Event>(version: DataVersion, data: &[u8], event: &E, path: &Path) {
    let own = DataVersion::read(E::VERSION).expect("Event::VERSION is MAJOR.MINOR");
    if version.major != own.major {
        return;
    }
    let kept: Value = serde_json::from_slice(data).expect("read_data has read it");
    let read = serde_json::to_value(event).expect("an event is JSON");
    if let Some(field) = lost(&kept, &read, String::new()) {
        panic!(
            "{} {own} reads {} without its field {field}: raise the major version and add an upcaster, or keep the field",
            E::TYPE,
            path.display()
        );
    }
}

/// Returns a field of the first value that the second lacks, or has with another value.
fn lost(kept: &Value, read: &Value, path: String) -> Option<String> {
    match (kept, read) {
        (Value::Object(kept), Value::Object(read)) => kept.iter().find_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match read.get(name) {
                Some(read) => lost(value, read, path),
                None if value.is_null() => None,
                None => Some(path),
            }
        }),
        (Value::Array(kept), Value::Array(read)) if kept.len() == read.len() => {
            kept.iter().zip(read).find_map(|(kept, read)| lost(kept, read, format!("{path}[]")))
        }
        _ => (kept != read).then_some(path),
    }
}

/// Returns the versions that have a payload, with their files.
#[track_caller]
fn versions(folder: &Path) -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.expect("a folder can be read").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", version = "1.1")]
    struct V1 {
        pence: i64,
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", version = "2.0", upcast_from = V1)]
    struct V2 {
        amount: i64,
    }

    impl From<V1> for V2 {
        fn from(old: V1) -> Self {
            Self { amount: old.pence }
        }
    }

    /// Version 1.1 with another field, and its number forgotten.
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", version = "1.1")]
    struct Unnumbered {
        pence: i64,
        currency: String,
    }

    /// The struct of version 2 without its upcaster.
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", version = "2.0")]
    struct Forgetful {
        amount: i64,
    }

    /// Version 1 with its field renamed, which is optional now.
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", version = "1.2")]
    struct Renamed {
        cents: Option<i64>,
    }

    fn panic_of<T>(run: impl FnOnce() -> T) -> String {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(run()))).expect_err("it panics");
        panic.downcast::<String>().map_or_else(|_| "no text".to_owned(), |text| *text)
    }

    #[test]
    fn payloads_of_all_versions_are_kept_and_read() {
        let folder = std::env::temp_dir().join(crate::unique("golden"));
        let missing = panic_of(|| check(&folder, &V1 { pence: 1 }, false));
        assert!(missing.contains("1.1.json") && missing.contains("MESSAGEKIT_GOLDEN=write"), "{missing}");
        check(&folder, &V1 { pence: 1 }, true);
        check(&folder, &V1 { pence: 1 }, false);
        let changed = panic_of(|| check(&folder, &V1 { pence: 2 }, true));
        assert!(
            changed.contains("raise the minor version"),
            "a kept payload is not written again: {changed}"
        );

        let unnumbered =
            panic_of(|| check(&folder, &Unnumbered { pence: 1, currency: "EUR".to_owned() }, true));
        assert!(unnumbered.contains("raise the minor version"), "{unnumbered}");
        let renamed = panic_of(|| check(&folder, &Renamed { cents: Some(1) }, true));
        assert!(renamed.contains("without its field pence"), "{renamed}");
        assert!(!folder.join("orders.order.placed/1.2.json").exists(), "a wrong version is not kept");

        check(&folder, &V2 { amount: 2 }, true);
        let read: Vec<(String, i64)> = check(&folder, &V2 { amount: 2 }, false)
            .into_iter()
            .map(|(version, event)| (version.to_string(), event.amount))
            .collect();
        assert_eq!(read, [("1.1".to_owned(), 1), ("2.0".to_owned(), 2)]);
        let forgotten = panic_of(|| check(&folder, &Forgetful { amount: 2 }, false));
        assert!(forgotten.contains("1.1.json") && forgotten.contains("add an upcaster"), "{forgotten}");
        fs::remove_dir_all(folder).expect("the folder is there");
    }
}
