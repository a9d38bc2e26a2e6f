//! The packages of the workspace, as cargo sees them.

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
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    // `publish = false` is an empty list of registries.
    let private = packages.iter().filter(|package| package["publish"].as_array().is_some_and(Vec::is_empty));
    Ok(private.filter_map(|package| package["name"].as_str().map(ToOwned::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_and_tests_are_unpublished_and_the_library_is_not() {
        let unpublished = unpublished().expect("cargo metadata works");
        for name in ["xtask", "messagekit-tests", "messagekit-demo"] {
            assert!(unpublished.iter().any(|member| member == name), "{name} would be published");
        }
        assert!(!unpublished.iter().any(|member| member == "messagekit"));
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
