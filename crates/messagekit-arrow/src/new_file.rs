//! A file that gets its name when it is whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};
use tempfile::TempPath;

/// A file that has another name, beside the one that it gets, until it is [kept](Self::keep). It is deleted if it is not; one of a killed
/// process stays, under a name that begins with a dot and ends in `.part`.
///
/// ```
/// use messagekit_arrow::NewFile;
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("plot.svg");
/// let mut file = NewFile::create(&path)?;
/// file.write("<svg/>")?;
/// assert!(!path.exists());
/// file.keep()?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "<svg/>");
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Debug)]
pub struct NewFile {
    file: File,
    own: TempPath,
    path: PathBuf,
}

impl NewFile {
    /// Makes the file, empty.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if there is a file of this name, [`ErrorKind::Unavailable`] if none can be made.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file =
            builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(|error| unwritten(path, error))?;
        let (file, own) = file.into_parts();
        Ok(Self { file, own, path: path.to_owned() })
    }

    /// Returns the file to write to.
    pub(crate) fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|error| unwritten(&self.path, error))
    }

    /// Writes a text behind what was written.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if it cannot be written, as on a full disk.
    pub fn write(&mut self, text: &str) -> Result<(), Error> {
        io::Write::write_all(&mut self.file, text.as_bytes()).map_err(|error| unwritten(&self.path, error))
    }

    /// Gives the file its name: all that was written is in it, also after a loss of power.
    ///
    /// # Errors
    /// As [`create`](Self::create), of what is the case now: a file that has taken the name meanwhile is left as it is.
    pub fn keep(self) -> Result<(), Error> {
        self.file.sync_all().map_err(|error| unwritten(&self.path, error))?;
        self.own.persist_noclobber(&self.path).map_err(|kept| match kept.error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.path),
            _ => unwritten(&self.path, kept.error),
        })
    }
}

fn taken(path: &Path) -> Error {
    let text = "output would replace a file: name another path, or remove that file";
    Error::new(ErrorKind::WrongState, text).with("path", path.display())
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "file cannot be written").with("path", path.display()).caused_by(error)
}
