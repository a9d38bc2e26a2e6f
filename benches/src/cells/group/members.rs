//! The members of a group, each in its own process.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::client::Client;
use crate::frame::Outcome;
use crate::peers::{Peer, plain};
use crate::resources::{Database, Program, Topic};
use crate::settings::Settings;

pub(super) const MEMBERS: usize = 3;
/// Longer than any contender takes to leave its group.
const LEAVING: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Own(Client),
    Peer(&'static Peer),
}

type Start = Box<dyn Fn(usize) -> Outcome<Program> + Send + Sync>;

/// The members of a group. A drop kills them.
pub(super) struct Members {
    programs: Vec<Program>,
    start: Start,
}

impl Members {
    pub(super) fn start(
        settings: &Settings,
        kind: Kind,
        database: &Database,
        topic: &Topic,
    ) -> Outcome<Self> {
        let (url, topic) = (plain(&database.url).to_owned(), topic.name.clone());
        let kafka = settings.kafka()?.to_owned();
        let start: Start = Box::new(move |member| {
            let mut command = match kind {
                Kind::Own(client) => own(client)?,
                Kind::Peer(peer) => peer.program("consume")?,
            };
            let name = name(member);
            command
                .env("BENCH_DATABASE", format!("{url}?application_name={name}"))
                .env("BENCH_KAFKA", &kafka);
            command.env("BENCH_TOPIC", &topic).env("BENCH_GROUP", &topic).env("BENCH_INSTANCE", &name);
            Program::start(command)
        });
        let programs = (0..MEMBERS).map(&start).collect::<Outcome<_>>()?;
        Ok(Self { programs, start })
    }

    pub(super) fn kill_and_start(&mut self, member: usize) -> Outcome<()> {
        self.programs[member].end()?;
        self.start_again(member)
    }

    pub(super) async fn restart(&mut self, member: usize) -> Outcome<()> {
        let program = &mut self.programs[member];
        program.signal(Signal::TERM)?;
        program.ended_within(LEAVING).await?;
        self.start_again(member)
    }

    pub(super) fn freeze(&mut self, member: usize) -> Outcome<()> {
        self.programs[member].is_alive()?;
        self.programs[member].signal(Signal::STOP)
    }

    pub(super) fn thaw(&self, member: usize) -> Outcome<()> {
        self.programs[member].signal(Signal::CONT)
    }

    pub(super) fn are_alive(&mut self) -> Outcome<()> {
        self.programs.iter_mut().try_for_each(Program::is_alive)
    }

    fn start_again(&mut self, member: usize) -> Outcome<()> {
        self.programs[member] = (self.start)(member)?;
        Ok(())
    }
}

/// Returns the name of a member. Its database connections use it, and so do its effects.
pub(super) fn name(member: usize) -> String {
    format!("member-{member}")
}

/// Returns the command that starts this program as a consumer.
fn own(client: Client) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--member").arg(client.name());
    Ok(command)
}
