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

/// Returns the files of the tree that this project wrote, relative to its root.
pub(crate) fn files() -> Vec<String> {
    fn collect(folder: &str, files: &mut Vec<String>) {
        for entry in fs::read_dir(root().join(folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().to_str().expect("names are text").to_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if name.starts_with(['.', '_']) {
                continue;
            }
            if !entry.file_type().expect("the folder can be read").is_dir() {
                files.push(path);
            } else if !name.starts_with("target")
                && !["benches/peers", "examples/data"].contains(&path.as_str())
            {
                collect(&path, files);
            }
        }
    }
    let mut files = Vec::new();
    collect("", &mut files);
    files.sort();
    files
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
