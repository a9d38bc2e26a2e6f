//! The folder of a stack with its data, logs, records and downloads, and the lock on it.

use std::fs::{self, File};
use std::path::{Path, PathBuf, absolute};

use super::service::Service;

/// The folder of one stack. It holds everything of the stack except downloads in a shared folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    downloads: PathBuf,
}

impl Folder {
    /// Returns the folder that the variables name: `MESSAGEKIT_STACK_DIR`, by default `stack` in cargo's target folder, and
    /// `MESSAGEKIT_STACK_DIST` for the downloads, by default `dist` in the former.
    pub(crate) fn from_env() -> Result<Self, String> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("MESSAGEKIT_STACK_DIR").unwrap_or_else(|| {
            variable("CARGO_TARGET_DIR").unwrap_or_else(|| workspace().join("target")).join("stack")
        });
        let downloads = variable("MESSAGEKIT_STACK_DIST").unwrap_or_else(|| root.join("dist"));
        let absolute = |path: PathBuf| {
            absolute(&path).map_err(|error| format!("cannot resolve the path {}: {error}", path.display()))
        };
        Ok(Self { root: absolute(root)?, downloads: absolute(downloads)? })
    }

    /// Returns a folder with this name inside this one, with the same downloads.
    pub(crate) fn inside(&self, name: &str) -> Self {
        Self { root: self.root.join(name), downloads: self.downloads.clone() }
    }

    /// Returns the folder at a path.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), downloads: root.join("dist") }
    }

    /// Returns the path of the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of downloads. Several stacks may share it.
    pub(crate) fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// Returns the data folder of a service, which does not hold its log.
    pub(crate) fn data(&self, service: Service) -> PathBuf {
        self.root.join(service.name())
    }

    /// Returns the log of a process or of an installation step.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }

    /// Returns the file that records the process with this name.
    pub(crate) fn record(&self, name: &str) -> PathBuf {
        self.root.join("run").join(format!("{name}.pid"))
    }

    /// Returns the file that stores the ports.
    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }

    /// Returns the copy of this program that tests call: the original may be rebuilt while they run.
    pub(crate) fn program(&self) -> PathBuf {
        self.root.join("xtask")
    }

    /// Returns a short name that is unique to this folder.
    pub(crate) fn fingerprint(&self) -> String {
        // FNV-1a: the hasher of the standard library may change with the toolchain, and the data would not be found again.
        let bytes = self.root.as_os_str().as_encoded_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// Creates the folder if it is absent and waits until no other command changes this stack. The lock ends with the file.
    pub(crate) fn lock(&self) -> Result<File, String> {
        for name in ["log", "run"] {
            let path = self.root.join(name);
            fs::create_dir_all(&path)
                .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        }
        lock(&self.root.join("lock"))
    }
}

/// Returns the root of the workspace in which this program was built.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Waits for the lock on `path`. The lock ends when the file is dropped, or with the process.
pub(crate) fn lock(path: &Path) -> Result<File, String> {
    let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| format!("cannot lock {}: {error}", path.display()))
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    parent
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Removes a file or a folder with its contents. An absent one is no error.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_folder_shares_only_the_downloads() {
        let outer = Folder::at(Path::new("/stack"));
        let inner = outer.inside("path");
        assert_eq!(inner.downloads(), outer.downloads());
        assert_ne!(inner.fingerprint(), outer.fingerprint());
        let of = |folder: &Folder| {
            let data = Service::ALL.map(|service| folder.data(service));
            [folder.ports(), folder.program(), folder.record("kafka"), folder.log("kafka")]
                .into_iter()
                .chain(data)
        };
        assert!(of(&inner).zip(of(&outer)).all(|(inner, outer)| inner != outer));
    }
}
