//! The migrations in the package equal those in the workspace.

use std::fs;
use std::path::Path;

#[test]
fn the_workspace_shows_the_same_migrations() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copies = package.join("../../migrations/sqlite");
    if !copies.exists() {
        return;
    }
    let read = |folder: &Path| {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(read(&package.join("migrations")), read(&copies));
}
