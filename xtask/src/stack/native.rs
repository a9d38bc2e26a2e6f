//! The stack as processes of this machine.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::alarm::Alarm;
use super::folder::{self, Folder};
use super::jars::Jars;
use super::ports::Ports;
use super::process::{self, Process};
use super::service::Service;
use super::state::{Health, State};
use super::{connect, jvm, kafka, packages, postgres, rabbitmq};
use crate::guard;
use crate::terminal::note;

/// The time that a service has from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The time that it has while its log grows: a killed broker reads every file of its topics again.
const PATIENCE_AT_WORK: Duration = Duration::from_secs(600);

/// The longest pause between two lines of the log of a service that is at work.
const PAUSE_AT_WORK: Duration = Duration::from_secs(30);

/// The interval between two probes of a starting service.
const ASK: Duration = Duration::from_millis(50);

/// A stack of processes in one folder.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) folder: Folder,
}

impl Native {
    /// Starts the services that do not run, all at once, and returns when every service answers.
    pub(crate) fn up(&self, services: &[Service]) -> Result<(), String> {
        let _lock = self.folder.lock()?;
        packages::for_services(&self.folder, services)?;
        if services.contains(&Service::Kafka) {
            Jars::of(&self.folder).download(&self.folder.log("maven"))?;
        }
        let mut ports = self.ports()?;
        ports.assign(services)?;
        let since = Instant::now();
        let missing: Vec<Service> =
            services.iter().copied().filter(|service| self.process(*service).is_none()).collect();
        // In threads: PostgreSQL first creates its cluster, and the others need not wait for that.
        thread::scope(|scope| {
            let starts: Vec<_> =
                missing.iter().map(|service| scope.spawn(|| self.start(*service, &ports))).collect();
            let results =
                starts.into_iter().map(|start| start.join().map_err(|_| "a start panicked".to_owned())?);
            results.collect::<Result<Vec<()>, String>>()
        })?;
        self.wait(services, &ports, since)
    }

    /// Stops the services, the worker before the broker it writes to, and deletes their data with `wipe`.
    pub(crate) fn down(&self, services: &[Service], wipe: bool) -> Result<(), String> {
        if !self.folder.root().exists() {
            return Ok(());
        }
        let _lock = self.folder.lock()?;
        if services.contains(&Service::Connect) {
            self.stop(&[Service::Connect], wipe)?;
        }
        let others = services.iter().copied().filter(|service| *service != Service::Connect);
        self.stop(&others.collect::<Vec<_>>(), wipe)?;
        if wipe {
            self.wipe(services)?;
        }
        Ok(())
    }

    /// Returns the state of each service.
    pub(crate) fn status(&self, services: &[Service]) -> Result<Vec<State>, String> {
        let ports = self.ports()?;
        Ok(services.iter().map(|service| self.state(*service, &ports)).collect())
    }

    /// Returns the services that were started at some time and not wiped since.
    pub(crate) fn known(&self) -> Result<Vec<Service>, String> {
        let ports = self.ports()?;
        Ok(Service::ALL.into_iter().filter(|service| ports.knows(*service)).collect())
    }

    /// Returns the variables with the addresses of the services.
    pub(crate) fn env(&self, services: &[Service]) -> Result<Vec<(&'static str, String)>, String> {
        let ports = self.ports()?;
        let mut variables = Vec::new();
        for service in services {
            if !ports.knows(*service) {
                return Err(format!(
                    "{service} has no port in {} yet; start it with `cargo xtask stack up --services {service}`",
                    self.folder.root().display()
                ));
            }
            let port = ports.get(service.name());
            match service {
                Service::Postgres => {
                    let name = postgres::NAME;
                    let url = format!("postgres://{name}:{name}@127.0.0.1:{port}/{name}");
                    variables.push(("MESSAGEKIT_TEST_POSTGRES_URL", url));
                }
                Service::Kafka => variables.push(("MESSAGEKIT_TEST_KAFKA", format!("127.0.0.1:{port}"))),
                Service::Connect => {
                    variables.push(("MESSAGEKIT_TEST_CONNECT_URL", format!("http://127.0.0.1:{port}")));
                    variables.push((connect::PASSWORD.0, connect::PASSWORD.1.to_owned()));
                }
                Service::Rabbitmq => {
                    let login = format!("{0}:{0}", rabbitmq::NAME);
                    let api = ports.get("rabbitmq-api");
                    variables
                        .push(("MESSAGEKIT_TEST_AMQP_URL", format!("amqp://{login}@127.0.0.1:{port}/%2f")));
                    variables
                        .push(("MESSAGEKIT_TEST_RABBITMQ_API", format!("http://{login}@127.0.0.1:{api}")));
                }
            }
        }
        Ok(variables)
    }

    /// Kills a service as a crash would, and returns when none of its processes runs.
    pub(crate) fn kill(&self, service: Service) -> Result<(), String> {
        let _lock = self.folder.lock()?;
        let process =
            self.process(service).ok_or_else(|| format!("{service} is not running; nothing was killed"))?;
        if !process.kill() {
            return Err(format!("{service} still runs 10 s after SIGKILL (pid {})", process.pid()));
        }
        self.ended(service, false)
    }

    /// Freezes or resumes a service and all its child processes.
    pub(crate) fn freeze(&self, service: Service, on: bool) -> Result<(), String> {
        let process = self.process(service).ok_or_else(|| format!("{service} is not running"))?;
        process.freeze(on);
        Ok(())
    }

    /// Blocks or resumes the publishers of RabbitMQ.
    pub(crate) fn alarm(&self, alarm: Alarm) -> Result<(), String> {
        let ports = Ports::remembered(&self.folder.ports())?;
        rabbitmq::alarm(&self.folder, &ports, alarm)
    }

    fn start(&self, service: Service, ports: &Ports) -> Result<(), String> {
        if service == Service::Rabbitmq {
            rabbitmq::end_mapper(&self.folder)?;
        }
        ports.free(service)?;
        match service {
            Service::Postgres => postgres::start(&self.folder, ports),
            Service::Kafka => kafka::start(&self.folder, ports),
            Service::Connect => connect::start(&self.folder, ports),
            Service::Rabbitmq => rabbitmq::start(&self.folder, ports),
        }
    }

    /// Probes the services in turn until each has answered.
    fn wait(&self, services: &[Service], ports: &Ports, since: Instant) -> Result<(), String> {
        let mut left = services.to_vec();
        loop {
            if guard::is_ended() {
                return Err("ended while services were starting".to_owned());
            }
            let mut starting = Vec::new();
            for service in left {
                let state = self.state(service, ports);
                let log = self.folder.log(service.name());
                match state.health {
                    Health::Ready => {
                        note(format_args!("{state} after {:.1} s", since.elapsed().as_secs_f64()));
                    }
                    Health::Down => {
                        return Err(format!("{service} ended while it started; {}", process::end_of(&log)));
                    }
                    Health::Starting if since.elapsed() > patience(&log) => {
                        let seconds = since.elapsed().as_secs();
                        return Err(format!(
                            "{service} does not answer after {seconds} s; {}",
                            process::end_of(&log)
                        ));
                    }
                    Health::Starting => starting.push(service),
                }
            }
            if starting.is_empty() {
                return Ok(());
            }
            left = starting;
            thread::sleep(ASK);
        }
    }

    fn state(&self, service: Service, ports: &Ports) -> State {
        let process = self.process(service);
        let answers = || match service {
            Service::Postgres => postgres::is_ready(ports),
            Service::Kafka => kafka::is_ready(&self.folder, ports),
            Service::Connect => connect::is_ready(ports),
            Service::Rabbitmq => rabbitmq::is_ready(ports),
        };
        let health = match process {
            None => Health::Down,
            Some(_) if answers() => Health::Ready,
            Some(_) => Health::Starting,
        };
        State { service, health, pid: process.map(Process::pid), port: ports.get(service.name()) }
    }

    /// Sends a signal to each service, then waits for all.
    fn stop(&self, services: &[Service], wipe: bool) -> Result<(), String> {
        let running: Vec<(Service, Process)> =
            services.iter().filter_map(|service| Some((*service, self.process(*service)?))).collect();
        for (service, process) in &running {
            // A process that a test has frozen would not receive the signal.
            process.freeze(false);
            process.signal(self.signal(*service, wipe));
        }
        for (service, process) in running {
            let orderly = process.ends_within(Duration::from_secs(40));
            if !orderly {
                note(format_args!("{service} ignores its signal to end for 40 s and is killed"));
                if !process.kill() {
                    return Err(format!("{service} cannot be ended (pid {})", process.pid()));
                }
            }
            self.ended(service, orderly)?;
        }
        Ok(())
    }

    /// Returns the signal that stops a service.
    fn signal(&self, service: Service, wipe: bool) -> Signal {
        match service {
            Service::Kafka | Service::Connect if wipe && !jvm::records(&self.folder, service.name()) => {
                Signal::KILL
            }
            // Data that will be deleted need no clean shutdown. PostgreSQL would leave its child processes behind.
            Service::Rabbitmq if wipe => Signal::KILL,
            // The fast shutdown rolls back open transactions and does not wait for clients.
            Service::Postgres => Signal::INT,
            _ => Signal::TERM,
        }
    }

    /// Cleans up after the end of a process.
    fn ended(&self, service: Service, orderly: bool) -> Result<(), String> {
        match service {
            Service::Kafka | Service::Connect => jvm::ended(&self.folder, service.name(), orderly)?,
            Service::Rabbitmq => rabbitmq::end_mapper(&self.folder)?,
            Service::Postgres => {}
        }
        folder::remove(&self.folder.record(service.name()))
    }

    /// Deletes data, and the ports with the last data. Logs stay, to be read after a failed test.
    fn wipe(&self, services: &[Service]) -> Result<(), String> {
        for service in services {
            folder::remove(&self.data(*service))?;
        }
        if Service::ALL.iter().all(|service| !self.data(*service).exists()) {
            folder::remove(&self.folder.ports())?;
        }
        Ok(())
    }

    fn data(&self, service: Service) -> std::path::PathBuf {
        if service == Service::Postgres { postgres::home(&self.folder) } else { self.folder.data(service) }
    }

    fn process(&self, service: Service) -> Option<Process> {
        Process::recorded(&self.folder.record(service.name()))
    }

    fn ports(&self) -> Result<Ports, String> {
        Ports::remembered(&self.folder.ports())
    }
}

/// Returns the time that a service with this log has until it answers.
fn patience(log: &Path) -> Duration {
    let written = std::fs::metadata(log).and_then(|log| log.modified());
    // A time in the future is of a clock that was set: that line is new.
    let at_work = written.is_ok_and(|at| at.elapsed().map_or(true, |pause| pause <= PAUSE_AT_WORK));
    if at_work { PATIENCE_AT_WORK } else { PATIENCE }
}

/// Copies this program to `path`, also when a newer build has replaced its file.
pub(crate) fn copy_program(path: &Path) -> Result<(), String> {
    let same = std::env::current_exe().is_ok_and(|own| own == path);
    if same {
        return Ok(());
    }
    let new = path.with_extension("new");
    // A running copy keeps its file: renaming replaces only the name.
    let copied = std::fs::copy("/proc/self/exe", &new).and_then(|_| std::fs::rename(&new, path));
    copied.map_err(|error| format!("cannot copy this program to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn down_leaves_a_process_alone_that_has_taken_over_the_pid() {
        let root = tempfile::tempdir().unwrap();
        let stack = Native { folder: Folder::at(root.path()) };
        drop(stack.folder.lock().unwrap());
        let record = stack.folder.record("postgres");
        let mut command = process::detached("sleep");
        command.arg("600");
        let sleep = Process::start(command, &stack.folder.log("postgres"), &record).unwrap();
        folder::write(&record, &format!("{} 1\n", sleep.pid())).unwrap();

        stack.down(&Service::ALL, true).unwrap();
        assert!(sleep.is_alive());
        let refusal = stack.kill(Service::Postgres).unwrap_err();
        assert_eq!(refusal, "postgres is not running; nothing was killed");
        assert!(sleep.is_alive());
        assert!(sleep.kill());
    }

    #[test]
    fn down_stops_what_its_record_names() {
        let root = tempfile::tempdir().unwrap();
        let stack = Native { folder: Folder::at(root.path()) };
        drop(stack.folder.lock().unwrap());
        let mut command = process::detached("sleep");
        command.arg("600");
        let log = stack.folder.log("kafka");
        let sleep = Process::start(command, &log, &stack.folder.record("kafka")).unwrap();

        stack.down(&[Service::Postgres], false).unwrap();
        assert!(sleep.is_alive(), "another service was named");
        stack.down(&Service::ALL, false).unwrap();
        assert!(!sleep.is_alive());
    }

    #[test]
    fn a_service_that_was_never_started_has_no_variable() {
        let root = tempfile::tempdir().unwrap();
        let stack = Native { folder: Folder::at(root.path()) };
        let refusal = stack.env(&[Service::Kafka]).unwrap_err();
        assert!(refusal.starts_with("kafka has no port in "), "{refusal}");
        assert!(refusal.ends_with("`cargo xtask stack up --services kafka`"), "{refusal}");
        assert!(stack.known().unwrap().is_empty());
    }

    #[test]
    fn a_service_is_waited_for_longer_while_its_log_grows() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kafka.log");
        assert_eq!(patience(&log), PATIENCE, "it has written nothing");
        let file = File::create(&log).unwrap();
        assert_eq!(patience(&log), PATIENCE_AT_WORK);
        file.set_modified(SystemTime::now() - 2 * PAUSE_AT_WORK).unwrap();
        assert_eq!(patience(&log), PATIENCE);
        file.set_modified(SystemTime::now() + PATIENCE).unwrap();
        assert_eq!(patience(&log), PATIENCE_AT_WORK);
    }
}
