//! The packages of the workspace, as cargo sees them.

use std::path::PathBuf;

use serde_json::Value;

use crate::stage::{cargo, printed};

/// Returns the packages and their targets, as `cargo metadata` prints them.
pub(crate) fn metadata() -> Result<Value, String> {
    let metadata = printed(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&metadata)
        .map_err(|error| format!("cannot read what cargo metadata printed: {error}"))
}

/// Returns the names of the packages that are never published.
pub(crate) fn unpublished() -> Result<Vec<String>, String> {
    let all = packages()?;
    let private = all.iter().filter(|package| is_private(package));
    Ok(private.filter_map(|package| package["name"].as_str().map(ToOwned::to_owned)).collect())
}

/// Returns the names and the manifests of the packages that are published.
pub(crate) fn published() -> Result<Vec<(String, PathBuf)>, String> {
    let all = packages()?;
    let public = all.iter().filter(|package| !is_private(package));
    let text = |package: &Value, of: &str| package[of].as_str().unwrap_or_default().to_owned();
    Ok(public.map(|package| (text(package, "name"), text(package, "manifest_path").into())).collect())
}

fn packages() -> Result<Vec<Value>, String> {
    Ok(metadata()?["packages"].as_array().cloned().unwrap_or_default())
}

/// Returns whether a package has `publish = false`, which is an empty list of registries.
fn is_private(package: &Value) -> bool {
    package["publish"].as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tools_and_tests_are_unpublished_and_the_library_is_not() {
        let unpublished = unpublished().expect("cargo metadata works");
        for name in ["xtask", "messagekit-tests", "messagekit-benches"] {
            assert!(unpublished.iter().any(|member| member == name), "{name} would be published");
        }
        assert!(!unpublished.iter().any(|member| member == "messagekit"));
        let published = published().expect("cargo metadata works");
        let library = published.iter().find(|(name, _)| name == "messagekit").expect("it is published");
        assert!(library.1.ends_with("crates/messagekit/Cargo.toml"), "{library:?}");
        assert!(!published.iter().any(|(name, _)| unpublished.contains(name)));
    }

    /// Nothing older is ever built here: a user with an older one would have a mixture that was never tried.
    #[test]
    fn requirements_name_the_versions_that_are_tested() {
        let printed =
            printed(cargo().args(["metadata", "--locked", "--format-version", "1"])).expect("cargo reads it");
        let metadata: Value = serde_json::from_str(&printed).expect("it is JSON");
        let packages = metadata["packages"].as_array().expect("there are packages");
        let plain = |version: &str| version.split('+').next().unwrap_or_default().to_owned();
        let tested: BTreeSet<(&str, String)> = packages
            .iter()
            .filter_map(|package| Some((package["name"].as_str()?, plain(package["version"].as_str()?))))
            .collect();
        let ours = packages.iter().filter(|package| package["source"].is_null());
        let required = ours.flat_map(|package| package["dependencies"].as_array().into_iter().flatten());
        let mut others = BTreeSet::new();
        for dependency in required.filter(|dependency| !dependency["source"].is_null()) {
            let (Some(name), Some(required)) = (dependency["name"].as_str(), dependency["req"].as_str())
            else {
                panic!("{dependency}")
            };
            if !tested.contains(&(name, required.trim_start_matches(['^', '~']).to_owned())) {
                let versions =
                    tested.iter().filter(|(known, _)| *known == name).map(|(_, version)| &**version);
                others.insert(format!("{name} {required}: {}", versions.collect::<Vec<_>>().join(" or ")));
            }
        }
        assert!(others.is_empty(), "set these in Cargo.toml to what is in Cargo.lock: {others:#?}");
    }

    #[test]
    fn the_reference_of_each_crate_shows_what_is_behind_features() {
        let (metadata, unpublished) =
            (metadata().expect("cargo metadata works"), unpublished().expect("it works"));
        let packages = metadata["packages"].as_array().expect("there are packages");
        let is_published = |package: &&Value| !unpublished.iter().any(|name| package["name"] == **name);
        let published: Vec<&Value> = packages.iter().filter(is_published).collect();
        assert!(published.len() > 10, "{}", published.len());
        for package in published {
            let name = &package["name"];
            assert_eq!(
                package["metadata"]["docs"]["rs"]["all-features"], true,
                "{name}: add [package.metadata.docs.rs]"
            );
        }
    }
}
