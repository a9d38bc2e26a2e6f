//! Whether a service reads what others write.

use std::collections::BTreeSet;

use messagekit::{DataVersion, Error};
use messagekit_schema::{Compatibility, Contract, Shape};

use super::finding::{Finding, joined};
use super::model::{CatalogEvent, Member, Version, majors, version_of};

/// Returns what readers of an event do not read, or expect in vain.
pub(super) fn check(event: &CatalogEvent<'_>, is_external: bool) -> Result<Vec<Finding>, Error> {
    let written: Vec<&Version<'_>> = event.versions.iter().filter(|one| !one.writers.is_empty()).collect();
    let mut found = Vec::new();
    for reader in &event.readers {
        let reading = Reading { event, reader, reads: reader.reads(event.event_type) };
        if written.is_empty() {
            if !is_external {
                found.push(reading.without_writer());
            }
            continue;
        }
        found.extend(reading.other_topics(&written));
        let in_vain = if is_external { Vec::new() } else { reading.in_vain(&written) };
        // Where nothing of it is written, what is written instead is no second fault.
        let reads_nothing = in_vain.len() == reading.reads.len();
        found.extend(in_vain);
        if !reads_nothing {
            for version in &written {
                found.extend(reading.unread(version)?);
            }
        }
    }
    Ok(found)
}

/// One reader of one event.
struct Reading<'a> {
    event: &'a CatalogEvent<'a>,
    reader: &'a Member,
    reads: Vec<&'a Contract>,
}

impl Reading<'_> {
    fn finding(&self, versions: String, problem: String, repair: &str) -> Finding {
        Finding {
            event: self.event.event_type.to_owned(),
            service: self.reader.name().to_owned(),
            versions,
            problem,
            repair: repair.to_owned(),
        }
    }

    fn versions(&self) -> String {
        joined(self.reads.iter().map(|contract| version_of(contract)))
    }

    fn without_writer(&self) -> Finding {
        self.finding(
            self.versions(),
            "no service writes it".to_owned(),
            "give the document of the service that writes it, name it by --external if another system does, or stop reading it",
        )
    }

    fn other_topics(&self, written: &[&Version<'_>]) -> Option<Finding> {
        let topics: BTreeSet<&str> = written.iter().map(|version| version.contract.topic.as_str()).collect();
        let other = self.reads.iter().find(|contract| !topics.contains(contract.topic.as_str()))?;
        Some(self.finding(
            version_of(other).to_string(),
            format!("it is read from the topic {} and written to {}", other.topic, joined(topics)),
            "read it from the topic that it is written to",
        ))
    }

    /// Returns a finding for each version of which no service writes the major version, nor one that it is upcast from.
    fn in_vain(&self, written: &[&Version<'_>]) -> Vec<Finding> {
        let is_written = |contract: &&&Contract| {
            let majors = majors(contract);
            !written.iter().any(|version| majors.contains(&version.version.major))
        };
        let text = format!("no service writes this major version, only {}", in_words(written));
        let finding = |contract: &&Contract| {
            self.finding(
                version_of(contract).to_string(),
                text.clone(),
                "read a version that is written, by its struct or an upcaster (`upcast_from`), or take this one out of `reads`; name \
                 the event by --external if another system writes it",
            )
        };
        self.reads.iter().filter(is_written).map(finding).collect()
    }

    /// Returns what the reader does not read in data of one version.
    fn unread(&self, written: &Version<'_>) -> Result<Vec<Finding>, Error> {
        let versions = |read: DataVersion| format!("{} written, {read} read", written.version);
        let writers = joined(&written.writers);
        let major = written.version.major;
        if !self.reader.reads_major(self.event.event_type, major) {
            let is_newer = self.reads.iter().all(|contract| version_of(contract).major < major);
            let repair = if is_newer {
                "deploy the reader with a struct of the new major version first, then the writer"
            } else {
                "add an upcaster (`upcast_from`) to the reader, or keep its struct of this major version"
            };
            let versions = format!("{} written, {} read", written.version, self.versions());
            let text = format!("it does not read the major version {major}, which {writers} writes");
            return Ok(vec![self.finding(versions, text, repair)]);
        }
        // A struct that is upcast from counts like one that is read itself: the data goes through it.
        let is_of_major = |contract: &&Contract| version_of(contract).major == major;
        let read = self.reads.iter().copied().filter(is_of_major).max_by_key(|contract| version_of(contract));
        let of_type = self.reader.of_type(self.event.event_type);
        let newest = read.or_else(|| of_type.filter(is_of_major).max_by_key(|contract| version_of(contract)));
        let Some(newest) = newest else {
            return Ok(Vec::new());
        };
        let found = Compatibility::Backward.check(&written.shape, &Shape::with_formats(&newest.schema)?);
        let repair = "make the field optional in the reader, or raise the major version in the writer";
        let finding = |unread: String| {
            self.finding(
                versions(version_of(newest)),
                format!("it does not read what {writers} writes: {unread}"),
                repair,
            )
        };
        Ok(found.into_iter().map(|one| finding(one.unread.to_string())).collect())
    }
}

fn in_words(written: &[&Version<'_>]) -> String {
    let versions: BTreeSet<DataVersion> = written.iter().map(|version| version.version).collect();
    joined(versions)
}
