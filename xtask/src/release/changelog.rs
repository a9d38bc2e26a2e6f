//! The notes of a release, which stand in the changelog.

/// Returns the section of a version, without its heading.
///
/// # Errors
/// Returns an error if there is no such section, or nothing in it.
pub(super) fn section(changelog: &str, version: &str) -> Result<String, String> {
    let heading = format!("## [{version}]");
    let mut lines = changelog.lines().skip_while(|line| !line.starts_with(&heading));
    if lines.next().is_none() {
        return Err(format!(
            "CHANGELOG.md has no section `{heading}`: name the changes of this version, or try a release with --unreleased"
        ));
    }
    // The addresses of the headings stand at the end of the page.
    let ends = |line: &&str| line.starts_with("## ") || (line.starts_with('[') && line.contains("]: http"));
    let section: Vec<&str> = lines.take_while(|line| !ends(line)).collect();
    let section = section.join("\n").trim().to_owned();
    if section.is_empty() {
        return Err(format!("the section `{heading}` of CHANGELOG.md is empty"));
    }
    Ok(section + "\n")
}

/// Returns the versions that have a section.
pub(super) fn versions(changelog: &str) -> impl Iterator<Item = &str> {
    let names = changelog.lines().filter_map(|line| line.strip_prefix("## [")?.split(']').next());
    names.filter(|name| *name != "Unreleased")
}

/// Returns notes whose links to pages of the repository lead there from anywhere.
pub(super) fn with_addresses(notes: &str, repository: &str) -> String {
    notes.replace("](docs/", &format!("]({repository}/docs/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Changelog\n\nIts form.\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-31\n\n### Added\n\n- You can wait.\n\n\
        ## [0.1.0] - 2026-12-01\n\nThe first.\n\n[Unreleased]: https://example.com/main\n[0.2.0]: https://example.com/2\n";

    #[test]
    fn notes_are_the_section_of_the_version() {
        assert_eq!(section(PAGE, "0.2.0").as_deref(), Ok("### Added\n\n- You can wait.\n"));
        assert_eq!(section(PAGE, "0.1.0").as_deref(), Ok("The first.\n"));
        assert_eq!(versions(PAGE).collect::<Vec<_>>(), ["0.2.0", "0.1.0"]);
    }

    #[test]
    fn notes_lead_to_the_pages_of_their_version() {
        let notes = with_addresses(
            "- [a page](docs/bus.md), [a site](https://example.com/docs/)",
            "https://our.example/v1",
        );
        assert_eq!(
            notes,
            "- [a page](https://our.example/v1/docs/bus.md), [a site](https://example.com/docs/)"
        );
    }

    #[test]
    fn a_version_without_notes_is_refused_with_what_to_do() {
        let missing = section(PAGE, "0.3.0").unwrap_err();
        assert!(missing.contains("no section `## [0.3.0]`: name the changes"), "{missing}");
        let empty = section(PAGE, "Unreleased").unwrap_err();
        assert_eq!(empty, "the section `## [Unreleased]` of CHANGELOG.md is empty");
        assert!(section(PAGE, "0.2").is_err(), "0.2.0 is another version");
    }
}
