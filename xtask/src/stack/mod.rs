//! The services that tests need: PostgreSQL, Kafka, Kafka Connect with Debezium, and RabbitMQ.
//!
//! They run as containers ([`docker`]) if a Docker engine answers, and otherwise as processes of this machine
//! ([`native`]) with their own data and ports, beside services of the system. `MESSAGEKIT_STACK` set to `native` or
//! `docker` decides instead.

mod alarm;
mod connect;
mod docker;
pub(crate) mod folder;
mod jars;
mod jvm;
mod kafka;
mod native;
mod packages;
mod ports;
mod postgres;
mod probe;
pub(crate) mod process;
mod rabbitmq;
mod service;
mod state;
mod versions;

use std::path::PathBuf;

use alarm::Alarm;
use clap::{Args, Subcommand};
use docker::Docker;
use folder::Folder;
use native::Native;
pub(crate) use packages::in_ci;
pub(crate) use service::Service;
pub(crate) use state::{Health, State};

use crate::guard;
use crate::terminal::say;

/// The actions on the stack.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start services, and return when each answers; as root, packages that they need are installed
    Up {
        /// Which services
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Stop what `up` has started
    Down {
        /// Which services
        #[command(flatten)]
        chosen: Chosen,
        /// Delete their data too
        #[arg(long)]
        wipe: bool,
    },
    /// Say how each service is, with pid and port; fails unless all are ready
    Status(Chosen),
    /// Print the variables by which tests find the services
    Env(Chosen),
    /// End one service with SIGKILL, as a crash would; `up` starts it again with its data
    Kill {
        /// The service
        service: Service,
    },
    /// Freeze one service: it keeps its connections and answers nothing
    Freeze {
        /// The service
        service: Service,
    },
    /// Let a frozen service go on
    Thaw {
        /// The service
        service: Service,
    },
    /// Make RabbitMQ stop publishers, as it does when memory is short, or let them go on
    Alarm {
        /// Whether publishers are stopped
        state: Alarm,
    },
}

/// The services that a command selects.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// A list such as postgres,kafka; without it `up` means all of them, and the others what `up` has started
    #[arg(long, value_delimiter = ',', value_name = "SERVICES")]
    pub(crate) services: Vec<Service>,
}

/// The stack of this workspace, as containers or processes.
#[derive(Debug)]
pub(crate) struct Stack {
    folder: Folder,
    way: Way,
}

/// The kind of stack.
#[derive(Debug)]
enum Way {
    Native(Native),
    Docker(Docker),
}

/// Ensures that the workspace can be built: installs missing packages as root, or names them.
pub(crate) fn prepare_build() -> Result<(), String> {
    packages::for_build(&Folder::from_env()?)
}

/// Runs an action, and returns `false` when the answer to a query is no.
pub(crate) fn run(action: Action) -> Result<bool, String> {
    let stack = Stack::find()?;
    match action {
        Action::Up { chosen } => {
            let services = Service::chosen(&chosen.services, &Service::DEFAULT);
            // If the state is unknown, nothing can be started either.
            let missing = stack.missing(&services).unwrap_or_default();
            let started = stack.up(&services);
            if started.is_err() && guard::is_ended() && !missing.is_empty() {
                stack.down(&missing, false)?;
            }
            started?;
        }
        Action::Down { chosen, wipe } => {
            let named = if chosen.services.is_empty() { &Service::ALL[..] } else { &chosen.services };
            stack.down(named, wipe)?;
        }
        Action::Status(chosen) => {
            let states = stack.status(&stack.known(chosen)?)?;
            for state in &states {
                say(format_args!("{state}"));
            }
            return Ok(states.iter().all(|state| state.health == Health::Ready));
        }
        Action::Env(chosen) => {
            for (name, value) in stack.env(&stack.known(chosen)?)? {
                say(format_args!("{name}={value}"));
            }
        }
        Action::Kill { service } => stack.kill(service)?,
        Action::Freeze { service } => stack.freeze(service, true)?,
        Action::Thaw { service } => stack.freeze(service, false)?,
        Action::Alarm { state } => stack.alarm(state)?,
    }
    Ok(true)
}

impl Stack {
    /// Finds the stack and its kind. It starts nothing.
    pub(crate) fn find() -> Result<Self, String> {
        let folder = Folder::from_env()?;
        let native = || Way::Native(Native { folder: folder.clone() });
        let way = match std::env::var("MESSAGEKIT_STACK").as_deref() {
            Ok("native") => native(),
            Ok("docker") => Way::Docker(Docker),
            Ok("") | Err(_) if Docker::answers() => Way::Docker(Docker),
            Ok("") | Err(_) => native(),
            Ok(other) => return Err(format!("MESSAGEKIT_STACK is {other:?}; it may be native or docker")),
        };
        Ok(Self { folder, way })
    }

    /// Returns a second stack with this name and its own services. Returns `None` if the services are containers, of which there
    /// is one set.
    pub(crate) fn beside(&self, name: &str) -> Option<Self> {
        match &self.way {
            Way::Native(native) => {
                let folder = native.folder.inside(name);
                Some(Self { folder: folder.clone(), way: Way::Native(Native { folder }) })
            }
            Way::Docker(_) => None,
        }
    }

    /// Returns the folder with the logs of this stack and its tests.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.root().join("log")
    }

    /// Starts the services that do not run, and returns when every service answers.
    pub(crate) fn up(&self, services: &[Service]) -> Result<(), String> {
        match &self.way {
            Way::Native(native) => native.up(services)?,
            Way::Docker(docker) => docker.up(services)?,
        }
        let _lock = self.folder.lock()?;
        native::copy_program(&self.folder.program())
    }

    /// Stops the services, and deletes their data with `wipe`.
    pub(crate) fn down(&self, services: &[Service], wipe: bool) -> Result<(), String> {
        match &self.way {
            Way::Native(native) => native.down(services, wipe),
            Way::Docker(docker) => docker.down(services, wipe),
        }
    }

    /// Returns the state of each service.
    pub(crate) fn status(&self, services: &[Service]) -> Result<Vec<State>, String> {
        match &self.way {
            Way::Native(native) => native.status(services),
            Way::Docker(docker) => docker.status(services),
        }
    }

    /// Returns the services that do not run.
    pub(crate) fn missing(&self, services: &[Service]) -> Result<Vec<Service>, String> {
        let states = self.status(services)?.into_iter();
        Ok(states.filter(|state| state.health == Health::Down).map(|state| state.service).collect())
    }

    /// Returns the variables by which tests find these services and this stack.
    pub(crate) fn env(&self, services: &[Service]) -> Result<Vec<(&'static str, String)>, String> {
        let (mut variables, way) = match &self.way {
            Way::Native(native) => (native.env(services)?, "native"),
            Way::Docker(docker) => (docker.env(services), "docker"),
        };
        // With the last three, a program that has these variables uses this stack from any directory.
        variables.push(("MESSAGEKIT_TEST_STACK", self.folder.program().display().to_string()));
        variables.push(("MESSAGEKIT_STACK", way.to_owned()));
        variables.push(("MESSAGEKIT_STACK_DIR", self.folder.root().display().to_string()));
        variables.push(("MESSAGEKIT_STACK_DIST", self.folder.downloads().display().to_string()));
        Ok(variables)
    }

    /// Kills one service with SIGKILL.
    fn kill(&self, service: Service) -> Result<(), String> {
        match &self.way {
            Way::Native(native) => native.kill(service),
            Way::Docker(docker) => docker.kill(service),
        }
    }

    /// Freezes or resumes a service.
    fn freeze(&self, service: Service, on: bool) -> Result<(), String> {
        match &self.way {
            Way::Native(native) => native.freeze(service, on),
            Way::Docker(docker) => docker.freeze(service, on),
        }
    }

    /// Blocks or resumes the publishers of RabbitMQ.
    fn alarm(&self, alarm: Alarm) -> Result<(), String> {
        match &self.way {
            Way::Native(native) => native.alarm(alarm),
            Way::Docker(docker) => docker.alarm(alarm),
        }
    }

    /// Returns the named services, otherwise the started ones, otherwise those that `up` would start.
    fn known(&self, chosen: Chosen) -> Result<Vec<Service>, String> {
        if !chosen.services.is_empty() {
            return Ok(chosen.services);
        }
        let started = match &self.way {
            Way::Native(native) => native.known()?,
            Way::Docker(_) => Vec::new(),
        };
        Ok(if started.is_empty() { Service::DEFAULT.to_vec() } else { started })
    }
}
