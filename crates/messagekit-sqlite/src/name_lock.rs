//! Allows one process at a time to work for a consumer name.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use messagekit::{Error, ErrorKind};

use crate::side_file::SideFile;

/// The right to work for a consumer: a lock on a side file, which the kernel releases when the process dies.
///
/// The file stays. Deleting it would let a third process lock a new file while the second still waits for the old one.
#[derive(Debug)]
pub(crate) struct NameLock(#[expect(dead_code, reason = "closing it frees the lock")] File);

impl NameLock {
    /// Takes the lock, or returns `None` while this or another process holds it.
    pub(crate) fn try_take(beside: &SideFile) -> Result<Option<Self>, Error> {
        let refused = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::Unsupported
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::InvalidConfiguration,
                _ => ErrorKind::Unavailable,
            };
            Error::new(
                kind,
                "lock file of the consumer cannot be used: the database belongs into a local folder that this process may write",
            )
            .with("file", beside.path().display())
            .caused_by(error)
        };
        let file = beside.open().map_err(refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }
}

/// Returns the lock file of a consumer: beside the database, named after a hash because a name may hold any character.
pub(crate) fn file_of(database: &Path, consumer: &str) -> SideFile {
    SideFile::beside(database, &format!("{:016x}.lock", fnv1a(consumer.as_bytes())))
}

/// Returns the process that holds the lock of a file, where the system tells: Linux does, in proc_locks(5).
pub(crate) fn holder_of(beside: &SideFile) -> Option<u32> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let file = place_of(beside.path())?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&&*file);
        words.get(4).filter(|_| is_it)?.parse().ok()
    })
}

/// Returns the device and the inode of a file in the form of `/proc/locks`.
#[cfg(unix)]
fn place_of(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    // The parts of a number of a device, as makedev(3) of Linux joins them.
    let (device, inode) = (file.dev(), file.ino());
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    Some(format!("{major:02x}:{minor:02x}:{inode}"))
}

#[cfg(not(unix))]
fn place_of(_: &Path) -> Option<String> {
    None
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_a_name_and_dropping_frees_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of(&folder.path().join("app.db"), "billing");
        let first = NameLock::try_take(&file).unwrap();
        assert!(first.is_some());
        assert!(NameLock::try_take(&file).unwrap().is_none());
        drop(first);
        assert!(NameLock::try_take(&file).unwrap().is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_holds_a_name_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of(&folder.path().join("app.db"), "billing");
        assert_eq!(holder_of(&file), None, "there is no file");
        let held = NameLock::try_take(&file).unwrap();
        assert_eq!(holder_of(&file), Some(std::process::id()));
        drop(held);
        assert_eq!(holder_of(&file), None);
    }

    #[test]
    fn names_have_files_of_their_own_beside_the_database() {
        let database = Path::new("/data/app.db");
        let file = file_of(database, "bill/ing");
        assert_eq!(file.path().parent(), database.parent());
        assert_ne!(file, file_of(database, "billing"));
        assert!(file.path().file_name().unwrap().to_str().unwrap().starts_with("app.db-messagekit-"));
    }
}
