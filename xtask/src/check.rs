//! The stages of each task in their order. This is the only definition of the gate.

use crate::stage::Stage;

/// Returns the stages of `cargo xtask check`. None of them needs a service.
pub(crate) fn check(full: bool) -> Vec<Stage> {
    let mut tests = Stage::new("tests", &["xtask", "test", "--no-services"]);
    tests.args.extend(full.then(|| "--full".to_owned()));
    let mut stages = lints();
    stages.push(tests);
    stages
}

/// Returns the stages of `cargo xtask ci`, quick ones first, to report a slip early. The packages named `unpublished`
/// are not packaged.
pub(crate) fn ci(full: bool, unpublished: &[String]) -> Vec<Stage> {
    let mut stages = lints();
    stages.extend([docs(), tests(full), package(unpublished)]);
    if full {
        stages.extend([release(), demo()]);
    }
    stages
}

/// Returns the stages that run no test.
fn lints() -> Vec<Stage> {
    let wheels = [wheel("wheel of files", "file"), wheel("wheel of kafka", "kafka")];
    [fmt(), clippy(), without_features()].into_iter().chain(wheels).collect()
}

/// Checks the formatting of every member of the workspace.
fn fmt() -> Stage {
    Stage::new("fmt", &["fmt", "--all", "--check"])
}

/// Lints libraries, binaries, tests, examples and benches, including those behind a feature.
fn clippy() -> Stage {
    let args = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    Stage::new("clippy", &args)
}

/// Checks what leaves something out without its default features: the bridge as a library, a client without TLS.
fn without_features() -> Stage {
    let [bridge, client] = ["messagekit-bridge", "messagekit-client"];
    let args = ["check", "--package", bridge, "--package", client, "--lib", "--no-default-features"];
    Stage::new("without features", &args)
}

/// Lints what one of the wheels has, with the features that it has by itself.
fn wheel(name: &'static str, feature: &str) -> Stage {
    let mut args = vec!["clippy", "--package", "messagekit-python", "--lib", "--no-default-features"];
    args.extend(["--features", feature, "--", "-D", "warnings"]);
    Stage::new(name, &args)
}

/// Builds the reference documentation. A broken link is an error.
///
/// There are no examples in the sense of cargo, but with them it resolves the features as for the lints, and so checks no dependency again.
fn docs() -> Stage {
    let mut stage = Stage::new("docs", &["doc", "--workspace", "--no-deps", "--all-features", "--lib"]);
    stage.args.extend(["--bin", "xtask", "--bin", "bench", "--examples"].map(str::to_owned));
    Stage { env: &[("RUSTDOCFLAGS", "-D warnings")], ..stage }
}

/// Runs every test with its services, including the examples in the documentation.
fn tests(full: bool) -> Stage {
    Stage::new("tests", if full { &["xtask", "test", "--full"] } else { &["xtask", "test"] })
}

/// Packs the archives that would be published, which checks manifests, versions and the order of publishing.
///
/// All members are in one command because none of them is on the registry yet: they resolve only against each other. A new
/// adapter crate is packaged without a change here.
///
/// It uses `--no-verify`: cargo reuses the unpacked and built archives of earlier runs while the version is the same. The next
/// run would compile each crate against the old sources of its siblings, and fail or pass by accident. `cargo xtask release` verifies,
/// in a directory used once.
fn package(unpublished: &[String]) -> Stage {
    let mut stage = Stage::new("package", &["package", "--workspace", "--allow-dirty", "--no-verify"]);
    stage.args.extend(unpublished.iter().flat_map(|name| ["--exclude".to_owned(), name.clone()]));
    stage
}

/// Makes the archives of the crates as a release does: each is built from its archive, programs are installed from them, and a service is
/// built with them.
fn release() -> Stage {
    Stage::new("release", &["xtask", "release", "--unreleased", "--only", "crates"])
}

/// Runs the demo by the command of the README; its exit code decides. The tests run the same year with the program of their build: for the
/// optimised one everything is compiled once more.
fn demo() -> Stage {
    Stage::new("demo", &["run", "--release", "--package", "messagekit-demo"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(stages: &[Stage]) -> Vec<String> {
        stages.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_gate_runs_everything_a_developer_checks() {
        let gate = commands(&ci(false, &[]));
        for stage in check(false) {
            // Its tests are a part of those that `cargo xtask test` runs.
            let counterpart = if stage.name == "tests" { tests(false) } else { stage };
            assert!(gate.contains(&counterpart.to_string()), "the gate does not run `{counterpart}`");
        }
    }

    #[test]
    fn full_changes_the_tests_and_adds_release_and_demo() {
        assert_eq!(tests(false).to_string(), "cargo xtask test");
        let (short, full) = (ci(false, &[]), ci(true, &[]));
        for (short, full) in short.iter().zip(&full) {
            let added = if short.name == "tests" { " --full" } else { "" };
            assert_eq!(full.to_string(), format!("{short}{added}"));
        }
        let added = [
            "cargo xtask release --unreleased --only crates",
            "cargo run --release --package messagekit-demo",
        ];
        assert_eq!(commands(&full[short.len()..]), added);
        let [short, full] = [check(false), check(true)].map(|stages| commands(&stages));
        assert_eq!(short.last().map(String::as_str), Some("cargo xtask test --no-services"));
        assert_eq!(full.last().map(String::as_str), Some("cargo xtask test --no-services --full"));
        assert_eq!(short[..5], full[..5]);
    }

    #[test]
    fn unpublished_packages_are_left_out_of_the_packages() {
        let stage = package(&["xtask".to_owned(), "messagekit-demo".to_owned()]).to_string();
        assert!(stage.ends_with(" --exclude xtask --exclude messagekit-demo"), "{stage}");
    }
}
