//! The files of the tree, and the tests in them.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_owned()
}

/// Returns the text of a file.
pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns every file of the tree relative to its root, without hidden folders and build output.
pub(crate) fn files() -> Vec<String> {
    fn collect(folder: &str, files: &mut Vec<String>) {
        for entry in fs::read_dir(root().join(folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().to_str().expect("names are text").to_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if !entry.file_type().expect("the folder can be read").is_dir() {
                files.push(path);
            } else if !name.starts_with(['.', '_']) && !name.starts_with("target") {
                collect(&path, files);
            }
        }
    }
    let mut files = Vec::new();
    collect("", &mut files);
    files.sort();
    files
}

/// Returns the files that this project wrote: the words of other projects and of data are theirs.
pub(crate) fn own_files() -> Vec<String> {
    let is_own = |file: &String| {
        let name = file.rsplit('/').next().expect("a path has a last part");
        !name.starts_with(['.', '_'])
            && !file.starts_with("benches/peers/")
            && !file.starts_with("crates/messagekit-demo/data/")
    };
    files().into_iter().filter(is_own).collect()
}

/// Returns the words in backticks of a text.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the targets of the links of a page.
pub(crate) fn link_targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Returns the names of the tests in a file, each with its line.
pub(crate) fn test_names(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut is_test = false;
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        is_test |= code.starts_with("#[test") || code.starts_with("#[tokio::test");
        let function = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ");
        if let Some(function) = function.filter(|_| is_test) {
            names.push((index + 1, function.split(['(', '<']).next().expect("a text has a beginning")));
            is_test = false;
        }
    }
    names
}
