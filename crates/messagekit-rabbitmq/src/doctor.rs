//! Examines the queues of a virtual host, over the management interface.

mod broker;
mod checks;
mod clock;
mod dead_letters;
mod management;
mod purpose;
mod queues;
mod repairs;

use lapin::uri::AMQPScheme;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Diagnosis, Doctor, Repair, SERVICE_UNREACHABLE};
use messagekit::{Error, ErrorKind, chain};
use tokio::task;

use crate::RabbitMq;
use broker::Broker;
use management::{Management, Missing};
use repairs::Repairs;

/// Examines the durable queues of the virtual host of a [`RabbitMq`], and changes nothing.
///
/// Queues that end with their connection and streams are left out: no consumer of messagekit reads them.
///
/// ```no_run
/// # async fn example() -> Result<(), messagekit_rabbitmq::Error> {
/// use messagekit::operations::Doctor;
/// use messagekit_rabbitmq::RabbitMq;
///
/// let rabbit = RabbitMq::new("amqp://shipping:secret@broker/orders")?;
/// for found in rabbit.doctor().management("http://broker:15672")?.diagnose().await.findings {
///     println!("{}: {}", found.check.name, found.text);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RabbitMqDoctor {
    management: Management,
    vhost: String,
}

impl RabbitMq {
    /// Returns a doctor that asks the management interface of the same host, at port 15672, or 15671 with `amqps://`.
    pub fn doctor(&self) -> RabbitMqDoctor {
        let authority = &self.uri.authority;
        let (scheme, port) = match self.uri.scheme {
            AMQPScheme::AMQP => ("http", 15_672),
            AMQPScheme::AMQPS => ("https", 15_671),
        };
        let host = if authority.host.contains(':') {
            format!("[{}]", authority.host)
        } else {
            authority.host.clone()
        };
        let user = &authority.userinfo;
        let management = Management::new(scheme, &format!("{host}:{port}"), &user.username, &user.password);
        RabbitMqDoctor { management, vhost: self.uri.vhost.clone() }
    }
}

impl RabbitMqDoctor {
    /// Sets the URL of the management interface: `http://HOST:PORT` or `https://HOST:PORT`. The login is that of the
    /// broker's address.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], for a text of another form, which the error does not repeat.
    pub fn management(mut self, url: &str) -> Result<Self, crate::Error> {
        self.management = self.management.at(url).ok_or_else(|| {
            let text = "the management interface of rabbitmq is not http://HOST:PORT or https://HOST:PORT";
            Error::new(ErrorKind::InvalidConfiguration, text)
        })?;
        Ok(self)
    }

    fn examine(&self) -> Diagnosis {
        let mut diagnosis = Diagnosis::of(checks::ALL.iter().copied());
        let broker = match Broker::read(&self.management, &self.vhost) {
            Ok(broker) => broker,
            Err(missing) => {
                self.unread(missing, &mut diagnosis);
                return diagnosis;
            }
        };
        let repairs = Repairs::new(self.management.address(), &self.vhost);
        clock::look(&broker, self.management.address(), &mut diagnosis);
        dead_letters::look(&broker, &repairs, &mut diagnosis);
        queues::look(&broker, &repairs, &mut diagnosis);
        diagnosis
    }

    fn unread(&self, missing: Missing, diagnosis: &mut Diagnosis) {
        let address = self.management.address();
        let others = || checks::ALL.iter().copied().filter(|check| **check != SERVICE_UNREACHABLE);
        match missing {
            Missing::Silent(error) => {
                let text = format!("the management interface at {address} does not answer: {}", chain(&error));
                let repair = "start the broker with the plugin rabbitmq_management, or correct the address";
                diagnosis.found(&SERVICE_UNREACHABLE, address, text, [Repair::Manual(repair.to_owned())]);
                diagnosis.not_checked(others(), "the management interface does not answer");
            }
            Missing::Refused(status) => diagnosis.not_checked(
                others(),
                format!(
                    "the management interface refuses this user (HTTP {status}): correct the login, or run `rabbitmqctl \
                     set_user_tags USER monitoring`"
                ),
            ),
            Missing::Strange(text) => diagnosis.not_checked(others(), text),
        }
    }
}

impl Doctor for RabbitMqDoctor {
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        let doctor = self.clone();
        Box::pin(async move {
            let examined = task::spawn_blocking(move || doctor.examine()).await;
            examined.unwrap_or_else(|fault| {
                let mut diagnosis = Diagnosis::of(checks::ALL.iter().copied());
                let reason = format!("the examination ended early: {fault}");
                diagnosis.not_checked(checks::ALL.iter().copied(), reason);
                diagnosis
            })
        })
    }
}
