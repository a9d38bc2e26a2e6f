//! `messagekit topics backup`.

use std::path::PathBuf;

use messagekit::Error;

use super::file;
use crate::database::Database;
use crate::output::{print, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    #[command(flatten)]
    database: Database,
    /// The copy, a new file
    path: PathBuf,
}

impl Backup {
    pub(super) async fn run(self) -> Result<(), Error> {
        let topics = file::open(&self.database).await?;
        let copied = topics.backup(&self.path).await;
        topics.close().await?;
        copied?;
        print(format_args!("copied to {}", printable(&self.path.display().to_string())))
    }
}
