//! Which stages each task runs, and in which order: the one place that says what the gate is.

use crate::stage::Stage;

/// Formatting, for every member of the workspace.
const FMT: Stage = Stage { name: "fmt", env: &[], args: &["fmt", "--all", "--check"] };

/// Lints, in libraries, binaries, tests, examples and benches alike.
const CLIPPY: Stage = Stage {
    name: "clippy",
    env: &[],
    args: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
};

/// The reference documentation; a link that leads nowhere is an error.
const DOCS: Stage = Stage {
    name: "docs",
    env: &[("RUSTDOCFLAGS", "-D warnings")],
    args: &["doc", "--workspace", "--no-deps"],
};

/// Every test that needs no service, the examples in the documentation included.
const TESTS: Stage = Stage { name: "tests", env: &[], args: &["test", "--workspace"] };

/// The same tests, the long ones at their stated size.
const TESTS_FULL: Stage = Stage { env: &[("MESSAGEKIT_FULL", "1")], ..TESTS };

/// The archives that would be published: manifests, versions and the order of publishing.
///
/// All members go into one command because none of them is on the registry yet: only together do
/// they resolve against each other. A new adapter crate is packaged without a change here.
///
/// `--no-verify`, since cargo keeps what it unpacked and built from the archives of one run for as
/// long as the version stays the same: the next run would compile each crate against the old
/// sources of its siblings, and fail or pass by accident. `CONTRIBUTING.md` has the command that
/// does verify, in a directory used once.
const PACKAGE: Stage = Stage {
    name: "package",
    env: &[],
    args: &[
        "package",
        "--workspace",
        "--exclude",
        "messagekit-cli",
        "--exclude",
        "messagekit-demo",
        "--exclude",
        "messagekit-examples",
        "--exclude",
        "messagekit-tests",
        "--exclude",
        "messagekit-benches",
        "--exclude",
        "xtask",
        "--allow-dirty",
        "--no-verify",
    ],
};

/// The demo from start to end, as a user would build it; its exit code decides.
const DEMO: Stage =
    Stage { name: "demo", env: &[], args: &["run", "--release", "--package", "messagekit-demo"] };

/// The stages of `cargo xtask check`.
pub(crate) fn check(full: bool) -> [Stage; 3] {
    [FMT, CLIPPY, tests(full)]
}

/// The stages of `cargo xtask ci`, quick ones first so that a slip is reported early.
pub(crate) fn ci(full: bool) -> [Stage; 6] {
    [FMT, CLIPPY, DOCS, tests(full), PACKAGE, DEMO]
}

/// The tests stage at the size asked for.
fn tests(full: bool) -> Stage {
    if full { TESTS_FULL } else { TESTS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_runs_everything_a_developer_checks() {
        let gate = ci(false).map(|stage| stage.to_string());
        for stage in check(false) {
            assert!(gate.contains(&stage.to_string()), "the gate does not run `{stage}`");
        }
    }

    #[test]
    fn full_changes_the_tests_stage_and_no_other() {
        for (short, full) in ci(false).into_iter().zip(ci(true)) {
            if short.name == "tests" {
                assert_eq!(short.to_string(), "cargo test --workspace");
                assert_eq!(full.to_string(), "MESSAGEKIT_FULL=1 cargo test --workspace");
            } else {
                assert_eq!(short.to_string(), full.to_string());
            }
        }
    }
}
