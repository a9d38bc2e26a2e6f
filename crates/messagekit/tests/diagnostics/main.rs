//! The compiler's texts for mistakes in a service, and for mistakes in the attributes of an event.
//!
//! Each case is a program that does not compile, beside the text that its author reads. `DIAGNOSTICS=overwrite` writes the texts anew.

mod libraries;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use libraries::Libraries;

const CASES: [&str; 2] = ["tests/diagnostics/cases", "tests/diagnostics/cases/derive"];

#[test]
fn mistakes_are_explained_where_they_are_made() {
    let libraries = Libraries::of_this_build();
    let overwrite = std::env::var_os("DIAGNOSTICS").is_some_and(|value| value == "overwrite");
    let (mut cases, mut different) = (0, String::new());
    for case in CASES.iter().flat_map(|folder| programs(folder)) {
        let (text, expected) = (explanation(&libraries, &case), case.with_extension("stderr"));
        cases += 1;
        if overwrite {
            fs::write(&expected, text).expect("the text is written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != text {
            different += &format!("== {}\n{text}\n", case.display());
        }
    }
    assert!(cases > 25, "only {cases} cases");
    assert!(different.is_empty(), "other texts than expected:\n{different}");
}

/// Returns the programs of a folder, by name.
fn programs(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of cases");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "rs"));
    files.sort();
    files
}

/// Returns what the compiler says about a program.
fn explanation(libraries: &Libraries, program: &Path) -> String {
    let compiled = libraries.compile(program);
    assert!(!compiled.status.success(), "{} compiles", program.display());
    report::plain(&String::from_utf8(compiled.stderr).expect("the compiler writes text"))
}
