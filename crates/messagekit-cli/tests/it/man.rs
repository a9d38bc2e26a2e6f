//! `messagekit man`.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use crate::command::messagekit;

/// Adds the name of the page of a command and of all commands below it, as the help lists them.
fn pages(words: &[&str], found: &mut BTreeSet<String>) {
    found.insert(format!("{}.1", [&["messagekit"], words].concat().join("-")));
    let help = messagekit(&[words, &["--help"]].concat()).text();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        // The lines of a long text are indented more than a name.
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        if let Some(name) = name.and_then(|rest| rest.split(' ').next()).filter(|name| *name != "help") {
            pages(&[words, &[name]].concat(), found);
        }
    }
}

#[test]
fn each_command_has_a_page_that_says_what_it_does() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("man1");
    assert_eq!(messagekit(&["man", "--out", out.to_str().unwrap()]).text(), "");
    let mut wanted = BTreeSet::new();
    pages(&[], &mut wanted);
    assert!(wanted.contains("messagekit-outbox-rejected-list.1") && wanted.len() > 60, "{wanted:?}");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let written: BTreeSet<String> = fs::read_dir(&out).unwrap().map(name).collect();
    assert_eq!(written, wanted);
    for name in &written {
        let page = fs::read_to_string(out.join(name)).unwrap();
        let own = name.trim_end_matches(".1").replace('-', "\\-");
        let said = page.lines().find_map(|line| line.strip_prefix(&format!("{own} \\- ")));
        let words = said.map_or(0, |said| said.split(' ').count());
        assert!(words > 1, "{name} does not say what the command does:\n{page}");
        assert!(page.contains(".SH SYNOPSIS") && page.contains("\"messagekit 0."), "{name}:\n{page}");
    }
    let list = fs::read_to_string(out.join("messagekit-dlq-list.1")).unwrap();
    assert!(list.contains("\\-\\-state") && list.contains("MESSAGEKIT_DATABASE_URL"), "{list}");
}

#[test]
fn page_of_the_program_lists_its_commands() {
    let page = messagekit(&["man"]).text();
    assert!(page.contains(".TH messagekit 1") && page.contains("messagekit\\-dlq(1)"), "{page}");
    let file = TempDir::new().unwrap();
    let taken = file.path().join("taken");
    fs::write(&taken, "").unwrap();
    messagekit(&["man", "--out", taken.to_str().unwrap()]).refused(1, &["man pages", "taken"]);
}

#[test]
fn pages_hold_no_value_of_the_environment() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let url = "postgres://me:sesame@localhost/shop";
    crate::command::messagekit_with(&["man", "--out", out], &[("MESSAGEKIT_DATABASE_URL", url)]).text();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!page.contains("sesame"), "{page}");
    }
}
