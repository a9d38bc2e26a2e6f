//! Files of ours beside a database.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file beside a database, for each user who may write the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SideFile {
    path: PathBuf,
    database: PathBuf,
}

impl SideFile {
    /// Names a file beside a database. It makes none.
    pub(crate) fn beside(database: &Path, ending: &str) -> Self {
        // Two paths of one file must have one lock. Never open the database itself for that: closing it again would release
        // SQLite's own locks.
        let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        let mut name = database.file_name().unwrap_or_default().to_owned();
        name.push(format!("-messagekit-{ending}"));
        Self { path: database.with_file_name(name), database }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for writing, and makes it unless it is there.
    pub(crate) fn open(&self) -> io::Result<File> {
        loop {
            match File::options().write(true).create_new(true).open(&self.path) {
                Ok(file) => {
                    #[cfg(unix)]
                    share(&file, &self.database);
                    return Ok(file);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                refused => return refused,
            }
            match File::options().write(true).open(&self.path) {
                // Another process has removed it meanwhile.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && fs::symlink_metadata(&self.path).is_err() => {}
                opened => return opened,
            }
        }
    }
}

/// Gives a file that was just made the owner and the mode of its database, as far as this user may, as SQLite does with its log: otherwise
/// the user who comes first would lock out the others. A file that was there may be a link to a file of another user, and stays as it is.
#[cfg(unix)]
fn share(file: &File, database: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (Ok(database), Ok(own)) = (fs::metadata(database), file.metadata()) else { return };
    if own.uid() != database.uid() {
        fchown(file, Some(database.uid()), None).ok();
    }
    if own.gid() != database.gid() {
        fchown(file, None, Some(database.gid())).ok();
    }
    let mode = database.mode() & 0o666;
    if own.mode() & 0o777 != mode {
        file.set_permissions(fs::Permissions::from_mode(mode)).ok();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn writers_of_the_database_may_write_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("app.db");
        fs::write(&database, "").unwrap();
        for mode in [0o666, 0o660, 0o600] {
            fs::set_permissions(&database, fs::Permissions::from_mode(mode)).unwrap();
            let file = SideFile::beside(&database, &format!("{mode:o}")).open().unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_link_leaves_the_file_behind_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (database, secret) = (folder.path().join("app.db"), folder.path().join("secret"));
        fs::write(&database, "").unwrap();
        fs::set_permissions(&database, fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(&secret, "").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let side = SideFile::beside(&database, "lock");
        std::os::unix::fs::symlink(&secret, side.path()).unwrap();
        side.open().unwrap();
        assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
    }
}
