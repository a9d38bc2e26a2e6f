//! On what kind of file system a database would be.

use std::path::Path;

use messagekit::{Error, ErrorKind};

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// On a disk of this machine, or one that is not known to be elsewhere.
    Local,
    /// On another machine, by this name. Its locks may not hold between machines, and processes there cannot share the memory that the
    /// log needs.
    Network(&'static str),
}

impl FileSystem {
    /// Returns the kind of the file system that a file is on, or would be made on.
    ///
    /// On Linux the kernel is asked. Elsewhere, and where it does not answer, it is [`Local`](Self::Local): opening the file says what
    /// is wrong.
    pub fn of(path: &Path) -> Self {
        let existing = path.ancestors().find(|path| path.exists());
        existing.and_then(magic).and_then(network).map_or(Self::Local, Self::Network)
    }

    /// Refuses a file that is on another machine.
    pub(crate) fn check(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Local => Ok(()),
            Self::Network(name) => {
                let text = "open database: file is on a network file system, where SQLite's locks are not safe: move it to a local disk";
                let error = Error::new(ErrorKind::InvalidConfiguration, text);
                Err(error.with("path", path.display()).with("file_system", name))
            }
        }
    }
}

/// Returns the number by which the kernel knows a file system.
#[cfg(target_os = "linux")]
fn magic(path: &Path) -> Option<u32> {
    // Its low half on every machine: the type has another width and sign on some.
    rustix::fs::statfs(path).ok().map(|found| found.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn magic(_: &Path) -> Option<u32> {
    None
}

/// Returns the name of a network file system; the numbers are those of Linux. What may be either, like FUSE, is not known to be one.
fn network(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "nfs",
        0x517b => "smb",
        0xfe53_4d42 => "smb2",
        0xff53_4d42 => "cifs",
        0x5346_414f | 0x6b41_4653 => "afs",
        0x7375_7245 => "coda",
        0x00c3_6400 => "ceph",
        0x0bd0_0bd0 => "lustre",
        0x564c => "ncp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!((network(0x6969), network(0xff53_4d42)), (Some("nfs"), Some("cifs")));
        for local in [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x6573_5546] {
            assert_eq!(network(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_judged_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FileSystem::of(&folder.path().join("no/such/file.db")), FileSystem::of(folder.path()));
        #[cfg(target_os = "linux")]
        assert!(magic(folder.path()).is_some());
    }
}
