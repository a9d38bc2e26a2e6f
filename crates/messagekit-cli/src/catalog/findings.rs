//! What is wrong between services.

use std::collections::BTreeSet;

use messagekit::Error;
use messagekit_schema::{Contract, Shape, differences};
use serde::Serialize;

use super::finding::{Finding, NONE, joined};
use super::model::{CatalogEvent, Member, events, same_names, version_of};
use super::readers;

/// What a check has found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    pub(super) problems: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

impl Findings {
    /// Compares what services write with what they read. `external` are the types that another system writes.
    pub(super) fn of(members: &[Member], external: &BTreeSet<&str>) -> Result<Self, Error> {
        let mut found = Self { problems: several_documents(members), warnings: Vec::new() };
        for event in events(members)? {
            found.problems.extend(writers(&event)?);
            let is_external = external.contains(event.event_type);
            found.problems.extend(readers::check(&event, is_external)?);
            if event.readers.is_empty() {
                found.warnings.push(unread(&event));
            }
        }
        found.warnings.extend(members.iter().flat_map(unused));
        Ok(found)
    }
}

fn several_documents(members: &[Member]) -> Vec<Finding> {
    let finding = |name: &str| Finding {
        event: NONE.to_owned(),
        service: name.to_owned(),
        versions: NONE.to_owned(),
        problem: "several documents name this service".to_owned(),
        repair: "give one document for each service, or change the name in one of them".to_owned(),
    };
    same_names(members).into_iter().map(finding).collect()
}

/// Returns what writers of one type disagree about.
fn writers(event: &CatalogEvent<'_>) -> Result<Vec<Finding>, Error> {
    let written: Vec<(&str, &Contract)> = event
        .writers
        .iter()
        .flat_map(|member| {
            member.writes(event.event_type).into_iter().map(|contract| (member.name(), contract))
        })
        .collect();
    let mut found = Vec::new();
    let Some(((name, first), others)) = written.split_first() else { return Ok(found) };
    for (other, contract) in others.iter().filter(|(_, contract)| contract.topic != first.topic) {
        found.push(Finding {
            event: event.event_type.to_owned(),
            service: format!("{name}, {other}"),
            versions: both(first, contract),
            problem: format!("it is written to the topic {} and to {}", first.topic, contract.topic),
            repair: "write it to one topic: its readers look nowhere else".to_owned(),
        });
    }
    for (index, (name, one)) in written.iter().enumerate() {
        for (other, contract) in &written[index + 1..] {
            if version_of(one) != version_of(contract) {
                continue;
            }
            let (stored, given) = (Shape::with_formats(&one.schema)?, Shape::with_formats(&contract.schema)?);
            let texts: Vec<String> = differences(&stored, &given)
                .iter()
                .map(|one| {
                    one.to_string()
                        .replace(" there", &format!(" in {name}"))
                        .replace(" here", &format!(" in {other}"))
                })
                .collect();
            if !texts.is_empty() {
                found.push(Finding {
                    event: event.event_type.to_owned(),
                    service: format!("{name}, {other}"),
                    versions: version_of(one).to_string(),
                    problem: format!("one version has two schemas: {}", texts.join("; ")),
                    repair: "share one struct, or raise the version in one of them".to_owned(),
                });
            }
        }
    }
    Ok(found)
}

fn both(one: &Contract, other: &Contract) -> String {
    let versions: BTreeSet<_> = [version_of(one), version_of(other)].into();
    joined(versions)
}

fn unread(event: &CatalogEvent<'_>) -> Finding {
    Finding {
        event: event.event_type.to_owned(),
        service: joined(event.writers.iter().map(|member| member.name())),
        versions: joined(event.versions.iter().filter(|one| !one.writers.is_empty()).map(|one| one.version)),
        problem: "no service reads it".to_owned(),
        repair: "give the document of its reader, or stop writing it".to_owned(),
    }
}

/// Returns the contracts of a service that it neither writes nor reads: a use that is not declared is not checked.
fn unused(member: &Member) -> Vec<Finding> {
    let is_unused = |contract: &&Contract| {
        member.writes(&contract.event_type).is_empty() && member.reads(&contract.event_type).is_empty()
    };
    let finding = |contract: &Contract| Finding {
        event: contract.event_type.clone(),
        service: member.name().to_owned(),
        versions: version_of(contract).to_string(),
        problem: "the service has a contract of it, and neither writes nor reads it".to_owned(),
        repair: "declare it by `writes` or `reads`, or take its struct out of the registry".to_owned(),
    };
    member.contracts.events().iter().filter(is_unused).map(finding).collect()
}
