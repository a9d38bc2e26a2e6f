//! Where a writer writes: any output, or a file that gets its name when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::{Error, ErrorKind};
use tempfile::TempPath;

/// Whether what is written is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    /// It is.
    Reads,
    /// The other end of a pipe is closed, as in `… | head -1`: no failure, but further rows would be lost.
    Gone,
}

/// A buffered output, which notes when nothing reads it any more.
pub(crate) struct Target {
    output: BufWriter<Box<dyn Write + Send>>,
    is_gone: Arc<AtomicBool>,
}

impl Target {
    /// Returns the target, and what it notes.
    pub(crate) fn to(output: impl Write + Send + 'static) -> (Self, Arc<AtomicBool>) {
        let is_gone = Arc::new(AtomicBool::new(false));
        let output = BufWriter::with_capacity(1 << 16, Box::new(output) as Box<dyn Write + Send>);
        (Self { output, is_gone: is_gone.clone() }, is_gone)
    }

    fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.is_gone.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.noted(flushed)
    }
}

/// A file under a name of its own beside the one that it gets. It is deleted unless it is kept; one of a killed process stays, under
/// its own name.
pub(crate) struct NewFile {
    file: File,
    own: TempPath,
    path: PathBuf,
}

impl NewFile {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
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

    /// Gives the file its name: all that was written is in it, also after a loss of power.
    pub(crate) fn keep(self) -> Result<(), Error> {
        self.file.sync_all().map_err(|error| unwritten(&self.path, error))?;
        self.own.persist_noclobber(&self.path).map_err(|kept| match kept.error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.path),
            _ => unwritten(&self.path, kept.error),
        })
    }
}

fn taken(path: &Path) -> Error {
    let text = "rows would replace a file: name another path, or remove that file";
    Error::new(ErrorKind::WrongState, text).with("path", path.display())
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "file cannot be written").with("path", path.display()).caused_by(error)
}
