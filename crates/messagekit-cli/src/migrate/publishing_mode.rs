//! The publishing mode of a database: change data capture, or a relay.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, PASSWORD_VARIABLE};
use messagekit_postgres::publishing_mode::{self, Existing};

use crate::database::failed;

/// How long a switch may wait for the connector, the relay or the writers. Another call continues it.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct WayOut {
    /// Also create the objects of change data capture: publication, slot, and the role messagekit_cdc with the
    /// password in MESSAGEKIT_CDC_PASSWORD. Ends the relay once no event waits for it
    #[arg(long, conflicts_with_all = ["status", "relay"])]
    cdc: bool,
    /// Let a relay publish the events. Waits until an existing connector has published the earlier ones
    #[arg(long, conflicts_with_all = ["status", "dry_run"])]
    relay: bool,
    /// How the relay treats existing events of an outbox without a connector's slot
    #[arg(long, value_name = "CHOICE", requires = "relay")]
    existing: Option<Choice>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Choice {
    /// Publish all of them, in order
    Publish,
    /// Never publish them
    Leave,
}

impl WayOut {
    pub(super) fn is_wanted(&self) -> bool {
        self.cdc || self.relay
    }

    pub(super) fn captures(&self) -> bool {
        self.cdc
    }

    /// Returns the option as the user wrote it.
    pub(super) fn option(&self) -> Option<&'static str> {
        match (self.cdc, self.relay) {
            (true, _) => Some("--cdc"),
            (_, true) => Some("--relay"),
            _ => None,
        }
    }

    /// Fails early if the mode is not possible, before anything is created.
    pub(super) async fn may_be_made(&self, url: &str) -> Result<(), Error> {
        match self.cdc {
            true => cdc::may_set_up(url, &SchemaName::default(), password().as_deref()).await.map_err(failed),
            false => Ok(()),
        }
    }

    /// Creates missing objects, fails if the result cannot work, and returns the changes.
    pub(super) async fn make(&self, url: &str) -> Result<Vec<String>, Error> {
        let schema = SchemaName::default();
        if self.relay {
            let existing = match self.existing {
                None => Existing::Refuse,
                Some(Choice::Publish) => Existing::Publish,
                Some(Choice::Leave) => Existing::Leave,
            };
            return publishing_mode::to_relay(url, &schema, existing, LIMIT).await.map_err(failed);
        }
        if !self.cdc {
            return Ok(Vec::new());
        }
        let made =
            publishing_mode::to_cdc(url, &schema, password().as_deref(), LIMIT).await.map_err(failed)?;
        let found = cdc::findings(url, &schema).await.map_err(failed)?;
        match found.into_iter().find(|found| found.subject != cdc::Subject::Reader) {
            Some(found) => Err(Error::new(ErrorKind::WrongState, format!("change data capture: {found}"))),
            None => Ok(made),
        }
    }

    /// Describes the changes, after the schema version.
    pub(super) fn in_words(&self, made: &[String]) -> String {
        let what = if self.relay { "the relay" } else { "change data capture" };
        match (self.is_wanted(), made) {
            (false, _) => String::new(),
            (true, []) => format!("; {what} is ready"),
            (true, made) if self.relay => format!("; {}", made.join(", ")),
            (true, made) => format!("; made {}", made.join(", ")),
        }
    }
}

fn password() -> Option<String> {
    std::env::var(PASSWORD_VARIABLE).ok()
}
