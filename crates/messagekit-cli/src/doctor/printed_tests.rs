//! The commands of this program that repairs name.

use std::fs;
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;

use crate::Arguments;

const URL: &str = "postgres://me@host/shop";

/// Returns the source of the examinations without line breaks in sentences.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("doctor")) {
            let text = fs::read_to_string(path).unwrap();
            let code: Vec<&str> =
                text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
            found.push(code.join(" ").replace("\\ ", ""));
        }
    }
}

/// Returns the words in backticks, and those from which a command is built.
fn commands(source: &str) -> Vec<Vec<String>> {
    let quoted = source.split("`messagekit ").skip(1).filter_map(|rest| Some(rest.split_once('`')?.0));
    let quoted = quoted.map(|words| words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let built = source.split("command(&[\"").skip(1).filter_map(|rest| Some(rest.split_once("])")?.0));
    let built = built.map(|words| words.split(", ").map(|word| word.trim_matches('"').to_owned()));
    let built = built.map(|words| words.chain(["--database".to_owned(), URL.to_owned()]).collect());
    quoted.chain(built).filter(|words: &Vec<String>| !words[0].starts_with('{')).collect()
}

#[test]
fn every_command_that_a_repair_names_is_understood() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for service in ["postgres", "sqlite", "kafka", "rabbitmq"] {
        sources(&crates.join(format!("messagekit-{service}/src")), &mut found);
    }
    let commands: Vec<Vec<String>> = found.iter().flat_map(|source| commands(source)).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for words in commands {
        let filled = words.iter().map(|word| match &**word {
            "FROM" | "TO" => "2026-01-31",
            "existing" => "publish",
            word => word,
        });
        let Err(error) = Arguments::try_parse_from(["messagekit"].into_iter().chain(filled)) else {
            continue;
        };
        // A sentence may leave out the database.
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{words:?}: {error}");
    }
}
