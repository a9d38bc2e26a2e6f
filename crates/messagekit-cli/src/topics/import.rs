//! `messagekit topics import`.

use std::path::PathBuf;

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::TopicStore;
use messagekit_topics::Topics;
use serde_json::value::RawValue;

use super::file::{self, Work};
use super::input::Input;
use super::lines::Reader;
use super::{append, minikafka};
use crate::database::Database;
use crate::output::{number, print};

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    #[command(flatten)]
    database: Database,
    /// The topic, which exists
    topic: Option<String>,
    /// An export, - for standard input; its data is kept, and the ids are new
    #[arg(default_value = "-")]
    file: PathBuf,
    /// A file of minikafka: all its topics and records, in one transaction; the topics must be missing or empty
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topic", "file"])]
    minikafka: Option<PathBuf>,
}

/// Appends the data of exported records. Those that the topic knows are skipped, so that an import that failed can be repeated.
impl Work for Import {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let topic = file::topic(topics, self.topic.as_deref().unwrap_or_default()).await?;
        let input = Input::of_file(&self.file)?;
        let (appended, known) = append::all(&topic, input, true, data, |_| Ok(Reader::Reads)).await?;
        print(format_args!("{} imported, {} known already", number(appended), number(known)))
    }
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Error> {
        match (&self.minikafka, &self.topic) {
            (Some(path), _) => minikafka::import(&self.database, path).await,
            (None, Some(_)) => file::work(&self.database, &self).await,
            (None, None) => {
                let text = "name the topic of the records, or a minikafka file after --minikafka";
                Err(Error::new(ErrorKind::InvalidConfiguration, text))
            }
        }
    }
}

/// Returns the data of an exported record.
#[expect(clippy::boxed_local, reason = "`append` passes a record on as it is, and shares its loop")]
fn data(record: Box<RawValue>) -> Result<Box<RawValue>, Error> {
    #[derive(serde::Deserialize)]
    struct Exported {
        data: Option<Box<RawValue>>,
    }

    serde_json::from_str(record.get()).ok().and_then(|Exported { data }| data).ok_or_else(|| {
        let text =
            "no record of an export: it has no field data, or its data is no JSON (data_base64); `messagekit topics append` takes the data alone";
        Error::new(ErrorKind::InvalidEvent, text)
    })
}
