//! The steps of the schema, and their copies in the crates.

use std::fs;

use messagekit_postgres::migrations::MIGRATIONS as POSTGRES;
use messagekit_sqlite::migrations::MIGRATIONS as SQLITE;

use crate::tree::root;

/// Returns each file of a folder with its text, by name.
fn read(folder: &str) -> Vec<(String, String)> {
    let files = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let read = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
    };
    let mut files: Vec<_> = files.map(|file| read(file.unwrap().path())).collect();
    files.sort();
    files
}

#[test]
fn each_file_is_a_step_and_has_a_copy_in_its_crate() {
    let postgres = POSTGRES.iter().map(|step| (step.version, step.name, step.sql)).collect::<Vec<_>>();
    let sqlite = SQLITE.iter().map(|step| (step.version, step.name, step.sql)).collect::<Vec<_>>();
    for (engine, steps) in [("postgres", postgres), ("sqlite", sqlite)] {
        let files = read(&format!("migrations/{engine}"));
        let copies = read(&format!("crates/messagekit-{engine}/migrations"));
        assert_eq!(copies, files, "run `cargo xtask migrations`");
        let named = |(version, name, sql): &(u32, &str, &str)| {
            (format!("{version:04}_{name}.sql"), (*sql).to_owned())
        };
        assert_eq!(files, steps.iter().map(named).collect::<Vec<_>>(), "{engine}");
    }
}

#[test]
fn steps_count_on_and_the_first_excludes_all_before() {
    let postgres = POSTGRES.iter().map(|step| (step.version, step.lowest_program)).collect::<Vec<_>>();
    let sqlite = SQLITE.iter().map(|step| (step.version, step.lowest_program)).collect::<Vec<_>>();
    for steps in [postgres, sqlite] {
        let (first, lowest) = steps[0];
        assert_eq!((first, lowest), (12, 12), "versions up to 11 were never released");
        for (index, (version, lowest)) in steps.iter().enumerate() {
            assert_eq!(*version, first + index as u32);
            assert!((first..=*version).contains(lowest), "{version}");
        }
    }
}
