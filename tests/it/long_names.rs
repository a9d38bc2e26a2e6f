//! The names of tests are short enough for a list.

use crate::tree::{own_files, read, test_names};

#[test]
fn test_names_have_at_most_60_characters() {
    let mut count = 0;
    let mut long = Vec::new();
    for file in own_files().into_iter().filter(|file| file.ends_with(".rs")) {
        for (line, name) in test_names(&read(&file)) {
            count += 1;
            if name.len() > 60 {
                long.push(format!("{file}:{line}: {} characters: {name}", name.len()));
            }
        }
    }
    assert!(count > 1_000, "the tree has {count} tests");
    assert!(long.is_empty(), "{} names of tests are too long:\n{}", long.len(), long.join("\n"));
}
