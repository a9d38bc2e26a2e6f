//! Names, SQL, help texts and headings use only the words of docs/glossary.md.

mod texts;

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{own_files, quoted, read};
use texts::{Subject, subjects};

/// Phrases that may contain a word of the list: the file, or empty for every file; the phrase; the reason.
const ALLOWED: [(&str, &str, &str); 8] = [
    ("", "dead letter", "a term of its own: a failed message that nothing retries by itself"),
    ("", "as slice", "a name of the standard library"),
    ("", "from slice", "a name of serde_json and of the standard library"),
    ("", "in place", "an idiom"),
    ("", "in its place", "an idiom"),
    ("crates/messagekit-macros/src/grammar_tests.rs", "letter", "the letters of the alphabet"),
    ("crates/messagekit-testkit/src/crash.rs", "sweep", "it goes over crash points and removes no rows"),
    ("crates/messagekit-testkit/src/ledger.rs", "entry", "the lines of a ledger are its entries"),
];

/// A word or phrase that is out. With a capital letter it is out only as the name of a type.
struct Out {
    text: String,
    words: Vec<String>,
    instead: String,
}

impl Out {
    /// Returns whether a text, with its words, contains it.
    fn is_in(&self, subject: &Subject, words: &[String]) -> bool {
        let is_for_types = self.text.starts_with(|first: char| first.is_ascii_uppercase());
        position(words, &self.words).is_some()
            && (!is_for_types || subject.is_type && subject.text == self.text)
    }
}

/// Returns the problems of a text, a line for each word that is out.
fn problems(subject: &Subject, list: &[Out]) -> Vec<String> {
    let Subject { file, line, text, .. } = subject;
    let words = without_allowed(file, split(text));
    let found = list.iter().filter(|out| out.is_in(subject, &words));
    found.map(|out| format!("{file}:{line}: `{}` is out, write {}: {text}", out.text, out.instead)).collect()
}

/// Splits names and sentences into lowercase words: at every character that is no letter, and between a small and a
/// capital letter.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut was_small) = (Vec::new(), String::new(), false);
    for next in text.chars() {
        let starts = next.is_ascii_uppercase() && was_small;
        if (starts || !next.is_ascii_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if next.is_ascii_alphabetic() {
            word.push(next.to_ascii_lowercase());
        }
        was_small = next.is_ascii_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns the position of a phrase. Each of its words may be in the plural.
fn position(words: &[String], phrase: &[String]) -> Option<usize> {
    let same = |(word, out): (&String, &String)| word == out || word.strip_suffix('s') == Some(out.as_str());
    words.windows(phrase.len()).position(|window| window.iter().zip(phrase).all(same))
}

/// Replaces the words of allowed phrases by empty words.
fn without_allowed(file: &str, mut words: Vec<String>) -> Vec<String> {
    for (only, phrase, _) in ALLOWED {
        let phrase = split(phrase);
        while let Some(at) = position(&words, &phrase).filter(|_| only.is_empty() || only == file) {
            words[at..at + phrase.len()].fill(String::new());
        }
    }
    words
}

/// Returns the list of the glossary.
fn list() -> Vec<Out> {
    let page = read("docs/glossary.md");
    let (_, behind) = page.split_once("\n## Words that are out\n").expect("the glossary has the list");
    let section = behind.split("\n## ").next().expect("a text has a beginning");
    let mut list = Vec::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [out, instead] = columns[..] else { panic!("two columns, and not {row}") };
        for text in quoted(out) {
            list.push(Out { text: text.to_owned(), words: split(text), instead: instead.trim().to_owned() });
        }
    }
    list
}

#[test]
fn names_and_texts_keep_to_the_words_of_the_glossary() {
    let (files, list) = (own_files(), list());
    // Each folder once, and each file.
    let paths: BTreeSet<&Path> = files
        .iter()
        .flat_map(|file| Path::new(file).ancestors())
        .filter(|path| path.file_name().is_some())
        .collect();
    let mut subjects: Vec<Subject> = files.iter().flat_map(|file| subjects(file)).collect();
    assert!(list.len() > 40 && subjects.len() > 3_000, "{} words, {} texts", list.len(), subjects.len());
    for path in paths {
        let (path, stem) = (path.to_str(), path.file_stem().and_then(|stem| stem.to_str()));
        subjects.push(Subject::new(path.expect("names are text"), 1, stem.expect("names are text"), false));
    }
    let problems: Vec<String> = subjects.iter().flat_map(|subject| problems(subject, &list)).collect();
    assert!(problems.is_empty(), "{} words are out:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn a_word_is_found_in_every_form_of_a_name() {
    let list = list();
    let is_out = |text: &str, is_type| !problems(&Subject::new("a.rs", 1, text, is_type), &list).is_empty();
    for text in
        ["strand", "StrandReader", "STRANDS", "a_strand_ends", "-- the way out of it", "Strands of keys"]
    {
        assert!(is_out(text, false), "{text}");
    }
    assert!(is_out("Kept", true) && !is_out("Kept", false) && !is_out("KeptRows", true));
    for text in ["stranded", "dead_letters", "BrokerDeadLetter", "as_slice", "replace"] {
        assert!(!is_out(text, true), "{text}");
    }
}
