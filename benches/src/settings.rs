//! The settings of a run: services, size and participants.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::frame::{Outcome, Parts, listener};

const LEAST_WATCHED: Duration = Duration::from_millis(300);

/// Where the services are, and how much is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// A PostgreSQL server, as the URL of one of its databases, where databases are made and dropped
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_POSTGRES_URL", hide_env_values = true)]
    database: Option<String>,
    /// Brokers of Kafka, where topics are made and deleted
    #[arg(long, value_name = "ADDRESS", env = "MESSAGEKIT_TEST_KAFKA")]
    kafka: Option<String>,
    /// A RabbitMQ server, where exchanges and queues are made and deleted
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_AMQP_URL", hide_env_values = true)]
    rabbitmq: Option<String>,
    /// A worker of Kafka Connect with Debezium
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_CONNECT_URL")]
    connect: Option<String>,
    /// The program messagekit; the one beside this program without it
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where embedded databases are made; on the disk that is to be measured
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Let the peers take part too; each is installed as its README says
    #[arg(long)]
    pub(crate) peers: bool,
    /// Make the PostgreSQL server flush its commits, as servers in use do; those of `cargo xtask stack` do not
    #[arg(long)]
    durable: bool,
    /// Multiply every size; below 1 also how long a cell watches and how often it repeats
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
}

impl Settings {
    pub(crate) fn database(&self) -> Outcome<&str> {
        Ok(self.database.as_deref().ok_or("no PostgreSQL: say --database")?)
    }

    pub(crate) fn kafka(&self) -> Outcome<&str> {
        Ok(self.kafka.as_deref().ok_or("no Kafka: say --kafka")?)
    }

    pub(crate) fn rabbitmq(&self) -> Outcome<&str> {
        Ok(self.rabbitmq.as_deref().ok_or("no RabbitMQ: say --rabbitmq")?)
    }

    pub(crate) fn connect(&self) -> Outcome<&str> {
        Ok(self.connect.as_deref().ok_or("no Kafka Connect: say --connect")?)
    }

    /// Changes the server's settings, if the options require it.
    pub(crate) async fn prepare(&self) -> Outcome<()> {
        if !self.durable {
            return Ok(());
        }
        let mut connection = PgConnection::connect(self.database()?).await?;
        // Run each alone: the first two cannot run in a transaction.
        for sql in [
            "ALTER SYSTEM SET fsync = on",
            "ALTER SYSTEM SET full_page_writes = on",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(sql).execute(&mut connection).await?;
        }
        while sqlx::query_scalar::<_, String>("SHOW fsync").fetch_one(&mut connection).await? != "on" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Returns the path of the program that users run.
    pub(crate) fn program(&self) -> Outcome<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("messagekit"),
        };
        let missing = || format!("{} is not there: build messagekit-cli or say --program", program.display());
        if program.is_file() { Ok(program) } else { Err(missing().into()) }
    }

    /// Returns a size multiplied by the scale of this run, at least 100.
    pub(crate) fn scaled(&self, size: usize) -> usize {
        ((size as f64 * self.scale) as usize).max(100)
    }

    /// Returns a number of repetitions multiplied by a scale below 1, at least 2.
    pub(crate) fn few(&self, times: usize) -> usize {
        ((times as f64 * self.scale.min(1.0)) as usize).max(2)
    }

    /// Returns the time of a part that lasts as long as it is watched, multiplied by a scale below 1, at least 0.3 s.
    pub(crate) fn watched(&self, time: Duration) -> Duration {
        time.mul_f64(self.scale.min(1.0)).max(LEAST_WATCHED)
    }

    /// Returns the processes of the services on this machine.
    pub(crate) fn parts(&self) -> Parts {
        let database = self.database.as_deref().and_then(|url| url.parse::<PgConnectOptions>().ok());
        let port = |text: &Option<String>| text.as_deref().and_then(port);
        Parts {
            database: database.and_then(|options| listener(options.get_port())),
            kafka: port(&self.kafka).and_then(listener),
            rabbitmq: port(&self.rabbitmq).and_then(listener),
            connect: port(&self.connect).and_then(listener),
        }
    }
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if scale.is_finite() && scale > 0.0 { Ok(scale) } else { Err("it is not above 0".to_owned()) }
}

/// Returns the port of an address, alone or in a URL.
fn port(place: &str) -> Option<u16> {
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let place = place.split_once("://").map_or(place, |(_, place)| place);
    place.split(['/', ',']).next()?.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_addresses_and_urls() {
        assert_eq!(port("127.0.0.1:9092"), Some(9092));
        assert_eq!(port("amqp://me:secret@127.0.0.1:5672/%2f"), Some(5672));
        assert_eq!(port("http://127.0.0.1:8083"), Some(8083));
        assert_eq!(port("localhost"), None);
    }
}
