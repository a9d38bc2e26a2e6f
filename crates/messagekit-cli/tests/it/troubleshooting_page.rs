//! The pages on choices and symptoms: the program accepts each of their commands, and prints what they quote.
//!
//! Their commands depend on what is wrong, so no test can run them in their order on one database.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Answer, messagekit};

const PAGES: [&str; 3] = ["choosing.md", "comparison.md", "troubleshooting.md"];

/// What a reader puts in for a variable.
const VALUES: [(&str, &str); 2] = [("\"$EVENT\"", "m-1"), ("\"$FAILED_MESSAGE\"", "7")];

/// Returns the path of a file or folder of the tree.
fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn page(name: &str) -> String {
    fs::read_to_string(in_tree("docs").join(name)).unwrap()
}

/// Returns the lines of a page, each with the language of the block around it.
fn lines(page: &str) -> Vec<(Option<&str>, &str)> {
    let (mut language, mut lines) = (None, Vec::new());
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(named) => language = language.is_none().then_some(named),
            None => lines.push((language, line)),
        }
    }
    lines
}

/// Returns every line of a block of commands, and the commands between backticks.
fn commands(page: &str) -> BTreeSet<&str> {
    let mut commands = BTreeSet::new();
    for (language, line) in lines(page) {
        match language {
            Some("sh") => {
                commands.insert(line);
            }
            Some(_) => {}
            None => {
                let code = line.split('`').skip(1).step_by(2);
                commands.extend(code.filter(|code| code.starts_with("messagekit ")));
            }
        }
    }
    commands
}

/// Asks for the help of a command behind all its arguments: those before it must be known, and nothing is run.
fn help(command: &str) -> Answer {
    let mut words: Vec<&str> = command.split(' ').collect();
    for word in &mut words {
        if let Some((_, value)) = VALUES.iter().find(|(variable, _)| *variable == *word) {
            *word = *value;
        }
    }
    words.push("--help");
    assert!(!needs_a_shell(&words), "{command} has more than words");
    assert_eq!(words[0], "messagekit", "{command} is of another program");
    messagekit(&words[1..])
}

fn needs_a_shell(words: &[&str]) -> bool {
    words.iter().any(|word| word.is_empty() || word.contains(['$', '"', '\'', '|', '>', '…']))
}

/// Returns the text of every source of the programs. A literal that goes on in the next line is one text.
fn sources() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(path).unwrap();
                let mut parts = source.split("\\\n");
                text.push_str(parts.next().unwrap_or_default());
                parts.for_each(|part| text.push_str(part.trim_start()));
            }
        }
    }
    let mut text = String::new();
    for entry in fs::read_dir(in_tree("crates")).unwrap() {
        collect(&entry.unwrap().path().join("src"), &mut text);
    }
    text
}

#[test]
fn commands_of_the_pages_on_symptoms_and_choices_are_known() {
    let mut known = 0;
    for name in PAGES {
        let page = page(name);
        for command in commands(&page) {
            let answer = help(command);
            assert_eq!((answer.code, &*answer.err), (0, ""), "docs/{name}: {command}");
            known += 1;
        }
    }
    assert!(known > 40, "the pages have {known} commands");
}

#[test]
fn help_behind_an_unknown_argument_is_refused() {
    for wrong in
        ["dlq list --renamed", "dlq listing", "dlq list --state gone", "dlq show first", "dlq list more"]
    {
        let answer = help(&format!("messagekit {wrong}"));
        assert_eq!(answer.code, 2, "{wrong}: {}", answer.out);
    }
}

#[test]
fn lines_of_the_log_that_the_page_quotes_are_in_a_program() {
    let (page, sources) = (page("troubleshooting.md"), sources());
    let quoted: Vec<&str> = lines(&page)
        .iter()
        .filter(|(language, _)| *language == Some("text"))
        .map(|(_, line)| *line)
        .collect();
    assert!(quoted.len() > 40, "the page quotes {} lines", quoted.len());
    for line in quoted {
        assert!(sources.contains(line), "no program prints: {line}");
    }
}
