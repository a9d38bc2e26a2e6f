//! The bill of materials: every package of Cargo that is in a program of the release, in the form of CycloneDX 1.6.
//!
//! <https://cyclonedx.org/docs/1.6/json/>. What only builds is left out: procedural macros, build scripts, tests. Libraries of the system are
//! no packages of Cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::paths::failed;
use crate::stage::{cargo, printed};

/// The packages that users install.
const PROGRAMS: [&str; 3] = ["messagekit-cli", "messagekit-bridge", "messagekit-python"];

/// The package of which wheels are made, and their names on PyPI, each with what it has no part of: its feature leaves it out.
const PYTHON: &str = "messagekit-python";
const WHEELS: [(&str, &[&str]); 2] = [
    ("messagekit-rs", &["messagekit-kafka"]),
    ("messagekit-rs-kafka", &["messagekit-sqlite", "messagekit-topics"]),
];

/// A package by name and version.
type Named = (String, String);

/// The packages of the release with what each needs.
pub(super) struct Materials {
    /// By the id of cargo.
    packages: BTreeMap<String, Package>,
    programs: Vec<String>,
}

#[derive(Clone)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// What the registry says of its archive. The packages of this workspace have none.
    checksum: Option<String>,
    is_published: bool,
    needs: BTreeSet<String>,
}

impl Package {
    /// Returns its address in a registry. What is not published has none: anyone could take the name there.
    fn address(&self) -> Option<String> {
        // <https://github.com/package-url/purl-spec>: a plus sign would be read as a space.
        let version = self.version.replace('+', "%2B");
        match self.is_wheel() {
            true => Some(format!("pkg:pypi/{}@{version}", self.name)),
            false => self.is_published.then(|| format!("pkg:cargo/{}@{version}", self.name)),
        }
    }

    fn is_wheel(&self) -> bool {
        WHEELS.iter().any(|(name, _)| *name == self.name)
    }

    /// Returns its name within the document.
    fn reference(&self) -> String {
        self.address().unwrap_or_else(|| format!("{}@{}", self.name, self.version))
    }

    fn component(&self, is_program: bool) -> Value {
        let mut component = json!({
            "type": if is_program { "application" } else { "library" },
            "bom-ref": self.reference(), "name": self.name, "version": self.version,
        });
        if let Some(address) = self.address() {
            component["purl"] = address.into();
        }
        if let Some(license) = &self.license {
            component["licenses"] = json!([{ "expression": license }]);
        }
        if let Some(checksum) = &self.checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

impl Materials {
    /// Returns what the programs need on a platform, by the versions of `Cargo.lock`.
    ///
    /// # Errors
    /// Returns an error if cargo cannot resolve the workspace, or the file cannot be read.
    pub(super) fn of(root: &Path, platform: &str) -> Result<Self, String> {
        let lock = root.join("Cargo.lock");
        let lock = fs::read_to_string(&lock).map_err(|error| failed("read", &lock, &error))?;
        let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", platform];
        let metadata = serde_json::from_str(&printed(cargo().args(metadata).current_dir(root))?)
            .map_err(|error| format!("cannot read what cargo metadata printed: {error}"))?;
        Self::read(&metadata, &built(root, platform)?, &checksums(&lock))
    }

    /// Reads what cargo says of the packages that are built: it also describes those of features that no program has.
    fn read(
        metadata: &Value,
        built: &BTreeSet<Named>,
        checksums: &BTreeMap<Named, String>,
    ) -> Result<Self, String> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let named = |package: &Value| (text(&package["name"]), text(&package["version"]));
        let described: BTreeMap<String, Value> =
            list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
        let needs: BTreeMap<String, BTreeSet<String>> = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let needs = list(&node["deps"]).into_iter().filter(is_in_the_program);
                (text(&node["id"]), needs.map(|needed| text(&needed["pkg"])).collect())
            })
            .collect();
        let mut programs = Vec::new();
        for name in PROGRAMS {
            let program = described.iter().find(|(_, package)| package["name"] == name);
            programs.push(program.ok_or_else(|| format!("no package is named {name}"))?.0.clone());
        }
        let (mut packages, mut waiting) = (BTreeMap::new(), programs.clone());
        while let Some(id) = waiting.pop() {
            let Some(package) = described.get(&id) else { continue };
            if packages.contains_key(&id) {
                continue;
            }
            let mut needs = needs.get(&id).cloned().unwrap_or_default();
            needs.retain(|needed| {
                described.get(needed).is_some_and(|package| built.contains(&named(package)))
            });
            waiting.extend(needs.iter().cloned());
            let (name, version) = named(package);
            // `publish = false` is an empty list of registries.
            let is_published = !package["publish"].as_array().is_some_and(Vec::is_empty);
            let license = package["license"].as_str().map(expression);
            let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
            packages.insert(id, Package { name, version, license, checksum, is_published, needs });
        }
        Ok(Self { packages, programs }.with_wheels())
    }

    /// Describes the wheels instead of the package of which they are made.
    fn with_wheels(mut self) -> Self {
        let Some(id) = self.programs.iter().find(|id| self.packages[*id].name == PYTHON).cloned() else {
            return self;
        };
        let Some(python) = self.packages.remove(&id) else { return self };
        self.programs.retain(|program| *program != id);
        for (name, without) in WHEELS {
            let mut wheel = Package { name: name.to_owned(), ..python.clone() };
            wheel.needs.retain(|needed| {
                self.packages.get(needed).is_none_or(|package| !without.contains(&&*package.name))
            });
            self.packages.insert(name.to_owned(), wheel);
            self.programs.push(name.to_owned());
        }
        self
    }

    /// Returns the document for a version of messagekit that was made at `time`.
    pub(super) fn document(&self, version: &str, time: &str) -> String {
        let reference = |id: &String| self.packages.get(id).map(Package::reference);
        let release = format!("pkg:generic/messagekit@{version}");
        let mut components: Vec<Value> = Vec::new();
        let programs: Vec<String> = self.programs.iter().filter_map(reference).collect();
        let mut dependencies = vec![json!({ "ref": release, "dependsOn": programs })];
        let mut sorted: Vec<(&String, &Package)> = self.packages.iter().collect();
        sorted.sort_by_key(|(_, package)| (&package.name, &package.version));
        for (id, package) in sorted {
            components.push(package.component(self.programs.contains(id) && !package.is_wheel()));
            let needs: BTreeSet<String> = package.needs.iter().filter_map(reference).collect();
            dependencies.push(json!({ "ref": package.reference(), "dependsOn": needs }));
        }
        let described = json!({
            "type": "application", "bom-ref": release, "name": "messagekit", "version": version,
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        });
        let document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": { "timestamp": time, "component": described },
            "components": components, "dependencies": dependencies,
        });
        format!("{document:#}\n")
    }
}

/// Returns a licence as an expression of SPDX: an older form of "either" is a slash.
fn expression(license: &str) -> String {
    let words = license.replace('/', " OR ");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the packages that cargo builds into the programs with their features.
fn built(root: &Path, platform: &str) -> Result<BTreeSet<Named>, String> {
    let mut arguments = vec!["tree", "--locked", "--edges", "normal,no-proc-macro", "--target", platform];
    arguments.extend(PROGRAMS.iter().flat_map(|name| ["--package", name]));
    arguments.extend(["--prefix", "none", "--format", "{p}"]);
    let tree = printed(cargo().args(arguments).current_dir(root))?;
    let package = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    Ok(tree.lines().filter_map(package).collect())
}

/// Returns whether a dependency is for the program itself, and not only for its build or its tests.
fn is_in_the_program(needed: &Value) -> bool {
    let kinds = needed["dep_kinds"].as_array().map(Vec::as_slice).unwrap_or_default();
    kinds.iter().any(|kind| kind["kind"].is_null())
}

/// Returns the checksums of a `Cargo.lock` by name and version.
fn checksums(lock: &str) -> BTreeMap<Named, String> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.and_then(|line| line.strip_suffix('"')).map(ToOwned::to_owned)
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (value("name"), value("version"), value("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let materials = Materials::of(root, "x86_64-unknown-linux-gnu").expect("the workspace is resolved");
        let text = materials.document("9.9.9", "2026-11-28T12:00:00+00:00");
        serde_json::from_str(&text).expect("it is JSON")
    }

    #[test]
    fn packages_are_named_with_licence_and_checksum() {
        let document = document();
        let components = document["components"].as_array().expect("a list");
        let named = |name: &str| components.iter().find(|component| component["name"] == name);
        assert!(components.len() > 200, "{}", components.len());
        for component in components {
            let license = component["licenses"][0]["expression"].as_str().expect("a licence");
            assert!(!license.contains('/') && !license.contains("  "), "{component}");
            let is_ours = component["name"].as_str().is_some_and(|name| name.starts_with("messagekit"));
            let checksum = component["hashes"][0]["content"].as_str().unwrap_or_default();
            assert_eq!(checksum.len(), if is_ours { 0 } else { 64 }, "{component}");
        }
        let sqlx = named("sqlx-core").expect("the CLI needs it");
        assert_eq!(
            sqlx["purl"],
            format!("pkg:cargo/sqlx-core@{}", sqlx["version"].as_str().unwrap_or_default())
        );
        let librdkafka =
            named("rdkafka-sys").expect("the bridge needs it")["purl"].as_str().unwrap_or_default();
        assert!(librdkafka.contains("%2B") && !librdkafka.contains('+'), "{librdkafka}");
        let program = named("messagekit-cli").expect("a program");
        assert_eq!(
            (&program["type"], &program["purl"]),
            (&"application".into(), &"pkg:cargo/messagekit-cli@0.1.0".into())
        );
        for wheel in ["messagekit-rs", "messagekit-rs-kafka"] {
            assert_eq!(named(wheel).expect("a wheel")["purl"], format!("pkg:pypi/{wheel}@0.1.0"));
        }
        for name in ["rdkafka-sys", "libsqlite3-sys", "lapin", "pyo3", "openssl-sys", "messagekit-bookkeeper"]
        {
            assert!(named(name).is_some(), "{name} is missing");
        }
        let of_other_features = ["sqlx-mysql", "hickory-resolver", "moka"];
        let only_built = ["proptest", "serde_derive", "messagekit-macros", "messagekit-testkit", "xtask"];
        for name in of_other_features.iter().chain(&only_built) {
            assert!(named(name).is_none(), "{name} is in no program");
        }
    }

    #[test]
    fn what_each_package_needs_is_in_the_document() {
        let document = document();
        let components = document["components"].as_array().expect("a list");
        let known: BTreeSet<Option<&str>> =
            components.iter().map(|component| component["bom-ref"].as_str()).collect();
        assert_eq!(known.len(), components.len(), "each once");
        let dependencies = document["dependencies"].as_array().expect("a list");
        assert_eq!(dependencies.len(), components.len() + 1, "one of each, and one of the release");
        assert_eq!(dependencies[0]["ref"], document["metadata"]["component"]["bom-ref"]);
        assert_eq!(dependencies[0]["dependsOn"].as_array().map(Vec::len), Some(4), "the programs");
        let needs = |wheel: &str| {
            let of = dependencies
                .iter()
                .find(|one| one["ref"] == format!("pkg:pypi/{wheel}@0.1.0"))
                .expect("a wheel");
            of["dependsOn"].to_string()
        };
        let [file, kafka] = ["messagekit-rs", "messagekit-rs-kafka"].map(needs);
        assert!(file.contains("/messagekit-sqlite@") && !file.contains("/messagekit-kafka@"), "{file}");
        assert!(kafka.contains("/messagekit-kafka@") && !kafka.contains("/messagekit-sqlite@"), "{kafka}");
        let mut needed = 0;
        for reference in dependencies.iter().flat_map(|one| one["dependsOn"].as_array().expect("a list")) {
            assert!(known.contains(&reference.as_str()), "{reference} is named and not described");
            needed += 1;
        }
        assert!(needed > components.len(), "{needed}");
    }
}
