//! Whether the version of a release says what changes for the code of users.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::paths::failed;
use super::run::run;
use super::steps::Release;
use super::{changelog, git};
use crate::members;
use crate::stage::{cargo, unrelated};
use crate::terminal::say;

/// The program that compares the public items of two versions of a crate, and its version: it reads what one compiler writes.
const CHECKER: (&str, &str) = ("cargo-semver-checks", "0.51.0");

impl Release {
    /// Compares the public items of all published libraries with those of the release before. Fails when one is found that code can no longer
    /// use, and the version does not say so. The checker finds most such changes: not those of a parameter's type, and none of macros.
    ///
    /// The tag of a release is what it is compared with. Without one before this commit there is nothing to compare.
    pub(super) fn compatibility(&self) -> Result<(), String> {
        let Some(before) = tag_before(&self.root)? else { return self.is_first() };
        let tools = self.target.join("dist").join("tools");
        let (checker, version) = CHECKER;
        let mut install = cargo();
        install.args(["install", checker, "--version", version, "--locked", "--quiet", "--root"]);
        run(install.arg(&tools), &self.root)?;
        let mut compare = unrelated(Command::new(tools.join("bin").join(checker)));
        compare.args(["semver-checks", "check-release", "--workspace", "--baseline-rev", &before]);
        // The checker has nothing to compare a new crate with, and fails.
        compare.args(new_since(&self.root, &before)?.iter().flat_map(|name| ["--exclude", name]));
        run(compare.env("CARGO_TARGET_DIR", &self.target), &self.root).map_err(|error| {
            format!("{error}\nwhere it names public items that differ from those of {before}, set the version that they need")
        })
    }

    /// Requires that no version was released before: a clone may lack the tags.
    fn is_first(&self) -> Result<(), String> {
        let page = self.root.join("CHANGELOG.md");
        let text = fs::read_to_string(&page).map_err(|error| failed("read", &page, &error))?;
        if let Some(earlier) = changelog::versions(&text).find(|version| *version != self.version) {
            return Err(format!(
                "the changelog has {earlier}, and no release has a tag here: git fetch --tags"
            ));
        }
        say(format_args!("\n== no release before {}: there are no public items to compare", self.version));
        Ok(())
    }
}

/// Returns the tag of the newest release that the checked out commit comes after.
fn tag_before(root: &Path) -> Result<Option<String>, String> {
    // A candidate comes before its release.
    let sorted = ["-c", "versionsort.suffix=-", "tag", "--list", "v*", "--sort=-version:refname"];
    let earlier = ["--merged", "HEAD", "--no-contains", "HEAD"];
    let tags = git(&[&sorted[..], &earlier].concat(), root)?;
    Ok(tags.lines().next().map(ToOwned::to_owned))
}

/// Returns the published packages that a release did not have.
fn new_since(root: &Path, before: &str) -> Result<Vec<String>, String> {
    let mut new = Vec::new();
    for (name, manifest) in members::published()? {
        let path = manifest.strip_prefix(root).unwrap_or(&manifest);
        if git(&["ls-tree", "--name-only", before, "--", &path.to_string_lossy()], root)?.trim().is_empty() {
            new.push(name);
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_compared_with_the_newest_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let git = |line: &str| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let author = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
            git(&[&author[..], &arguments].concat(), folder.path()).unwrap();
        };
        let before = || tag_before(folder.path()).unwrap();
        git("init --quiet");
        git("commit --quiet --allow-empty --message first");
        git("tag v0.1.0");
        assert_eq!(before(), None, "the commit itself is the first release");
        for tag in ["v0.9.0", "v0.10.0-rc.1", "v0.10.0", "wheel-1"] {
            git("commit --quiet --allow-empty --message next");
            git(&format!("tag {tag}"));
        }
        assert_eq!(before().as_deref(), Some("v0.10.0"));
        git("checkout --quiet v0.10.0");
        assert_eq!(before().as_deref(), Some("v0.10.0-rc.1"));
        git("checkout --quiet v0.9.0");
        assert_eq!(before().as_deref(), Some("v0.1.0"));
    }
}
