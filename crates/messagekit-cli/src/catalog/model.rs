//! What services write and read, gathered by event.

use std::collections::{BTreeMap, BTreeSet};

use messagekit::{DataVersion, Error};
use messagekit_schema::{Contract, Contracts, EventVersion, Service, Shape, differences};

/// A service with its contracts.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) service: Service,
    pub(super) contracts: Contracts,
}

/// An event that some service writes or reads.
#[derive(Debug)]
pub(super) struct CatalogEvent<'a> {
    pub(super) event_type: &'a str,
    /// By version; one version has several only where services disagree about it.
    pub(super) versions: Vec<Version<'a>>,
    pub(super) writers: Vec<&'a Member>,
    pub(super) readers: Vec<&'a Member>,
}

/// One version of an event.
#[derive(Debug)]
pub(super) struct Version<'a> {
    pub(super) version: DataVersion,
    pub(super) contract: &'a Contract,
    pub(super) shape: Shape,
    pub(super) writers: Vec<&'a str>,
    pub(super) readers: Vec<&'a str>,
}

impl Member {
    pub(super) fn name(&self) -> &str {
        self.service.name()
    }

    /// Returns the contracts of one type that it writes.
    pub(super) fn writes(&self, event_type: &str) -> Vec<&Contract> {
        self.used(self.service.written(), event_type)
    }

    /// Returns the contracts of one type that it reads.
    pub(super) fn reads(&self, event_type: &str) -> Vec<&Contract> {
        self.used(self.service.read(), event_type)
    }

    /// Returns whether it reads data of a major version, by a struct of it or by an upcaster.
    pub(super) fn reads_major(&self, event_type: &str, major: u32) -> bool {
        self.reads(event_type).into_iter().any(|contract| majors(contract).contains(&major))
    }

    /// Returns the contracts of one type.
    pub(super) fn of_type(&self, event_type: &str) -> impl Iterator<Item = &Contract> {
        self.contracts.events().iter().filter(move |contract| contract.event_type == event_type)
    }

    fn used(&self, uses: &[EventVersion], event_type: &str) -> Vec<&Contract> {
        let is_used = |contract: &&Contract| uses.iter().any(|one| one.is(event_type, &contract.version));
        self.of_type(event_type).filter(is_used).collect()
    }
}

/// Returns the version of a contract; what reads contracts has checked it.
pub(super) fn version_of(contract: &Contract) -> DataVersion {
    DataVersion::read(&contract.version).unwrap_or(DataVersion { major: 0, minor: 0 })
}

/// Returns the versions that the struct of a contract is upcast from.
pub(super) fn earlier(contract: &Contract) -> impl Iterator<Item = DataVersion> {
    contract.earlier.iter().filter_map(|version| DataVersion::read(version))
}

/// Returns the major versions that the struct of a contract reads.
pub(super) fn majors(contract: &Contract) -> BTreeSet<u32> {
    earlier(contract).chain([version_of(contract)]).map(|version| version.major).collect()
}

/// Returns the names that several documents have.
pub(super) fn same_names(members: &[Member]) -> Vec<&str> {
    let pairs = members.windows(2).filter(|pair| pair[0].name() == pair[1].name());
    let mut names: Vec<&str> = pairs.map(|pair| pair[0].name()).collect();
    names.dedup();
    names
}

/// Returns the types that some service writes or reads.
pub(super) fn types(members: &[Member]) -> BTreeSet<&str> {
    members
        .iter()
        .flat_map(|member| member.service.written().iter().chain(member.service.read()))
        .map(|one| one.event_type.as_str())
        .collect()
}

/// Gathers the events, by type.
pub(super) fn events(members: &[Member]) -> Result<Vec<CatalogEvent<'_>>, Error> {
    types(members).into_iter().map(|event_type| event(event_type, members)).collect()
}

fn event<'a>(event_type: &'a str, members: &'a [Member]) -> Result<CatalogEvent<'a>, Error> {
    let mut versions: BTreeMap<DataVersion, Vec<Version<'a>>> = BTreeMap::new();
    let mut add = |contract: &'a Contract, writer: Option<&'a str>, reader: Option<&'a str>| {
        let shape = Shape::with_formats(&contract.schema)?;
        let known = versions.entry(version_of(contract)).or_default();
        let is_it = |one: &Version<'_>| {
            one.contract.topic == contract.topic && differences(&one.shape, &shape).is_empty()
        };
        let index = known.iter().position(is_it).unwrap_or_else(|| {
            let (version, writers, readers) = (version_of(contract), Vec::new(), Vec::new());
            known.push(Version { version, contract, shape, writers, readers });
            known.len() - 1
        });
        known[index].writers.extend(writer);
        known[index].readers.extend(reader);
        Ok::<(), Error>(())
    };
    // The contract of the first writer stands for those that agree with it: it is the writer's event.
    for member in members {
        for contract in member.writes(event_type) {
            add(contract, Some(member.name()), None)?;
        }
    }
    for member in members {
        for contract in member.reads(event_type) {
            add(contract, None, Some(member.name()))?;
        }
    }
    // The structs that a reader upcasts from.
    for member in members {
        for contract in member.of_type(event_type) {
            add(contract, None, None)?;
        }
    }
    Ok(CatalogEvent {
        event_type,
        versions: versions.into_values().flatten().collect(),
        writers: members.iter().filter(|member| !member.writes(event_type).is_empty()).collect(),
        readers: members.iter().filter(|member| !member.reads(event_type).is_empty()).collect(),
    })
}
