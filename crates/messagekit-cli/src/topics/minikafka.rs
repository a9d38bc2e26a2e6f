//! `messagekit topics import --minikafka`.

use std::path::Path;

use messagekit::Error;
use messagekit_topics::{MinikafkaFile, MinikafkaImport, Topics};

use super::file;
use crate::database::{Database, open_file};
use crate::output::{number, print};

pub(super) async fn import(database: &Database, from: &Path) -> Result<(), Error> {
    let old = MinikafkaFile::read(from)?;
    let target = file::path(database)?;
    if target.exists() {
        // Refuses what is no database of this program before anything is written.
        open_file(target).await?.close().await?;
    }
    let topics = Topics::open(target).await?;
    let imported = topics.import_minikafka(&old).await;
    topics.close().await?;
    let MinikafkaImport { topics, records } = imported?;
    let counted = |count: usize, one: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {one}{plural}", number(count as u64))
    };
    print(format_args!("{} and {} imported", counted(topics, "topic"), counted(records, "record")))
}
