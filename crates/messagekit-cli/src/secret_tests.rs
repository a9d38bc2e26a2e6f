//! The `Debug` output of a command.

use clap::{Arg, CommandFactory, Parser};

use super::Arguments;

const SECRET: &str = "postgres://me:s3cret@host/shop";

/// Returns a line for each command, with a secret instead of each URL.
fn lines(command: &clap::Command, before: &[String]) -> Vec<Vec<String>> {
    let mut line = [before, &[command.get_name().to_owned()]].concat();
    let mut found: Vec<Vec<String>> =
        command.get_subcommands().flat_map(|subcommand| lines(subcommand, &line)).collect();
    for argument in command.get_arguments() {
        match (argument.get_long(), value_name(argument)) {
            (Some(long), Some("URL")) => line.extend([format!("--{long}"), SECRET.to_owned()]),
            (Some(long), Some("NAME=URL")) => line.extend([format!("--{long}"), format!("shop={SECRET}")]),
            (None, Some("IDS")) => line.push("1".to_owned()),
            (None, _) if argument.is_required_set() => line.push("1".to_owned()),
            (Some("name"), _) if argument.is_required_set() => {
                line.extend(["--name", "mona"].map(str::to_owned));
            }
            (Some("source"), _) if argument.is_required_set() => {
                line.extend(["--source", "orders:earliest"].map(str::to_owned));
            }
            (Some("role"), _) => line.extend(["--role", "viewer"].map(str::to_owned)),
            _ => {}
        }
    }
    found.push(line);
    found
}

fn value_name(argument: &Arg) -> Option<&str> {
    argument.get_value_names()?.first().map(|name| name.as_str())
}

#[test]
fn no_command_shows_the_url_it_was_given() {
    let with_url: Vec<String> = lines(&Arguments::command(), &[])
        .into_iter()
        .filter(|line| line.iter().any(|part| part.contains("s3cret")))
        .map(|line| {
            let arguments = Arguments::try_parse_from(&line)
                .unwrap_or_else(|error| panic!("{line:?} is not understood: {error}"));
            let shown = format!("{arguments:?} {arguments:#?}");
            assert!(!shown.contains("s3cret"), "{line:?}: {shown}");
            line[1..3].join(" ")
        })
        .collect();
    for command in ["migrate --database", "connector apply", "dlq list", "replay start", "admin --database"] {
        assert!(with_url.iter().any(|known| known == command), "{command} is not among {with_url:?}");
    }
}
