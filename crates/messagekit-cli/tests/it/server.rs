//! A program that serves until a signal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

/// How long a step may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(300);

/// A running program; it is killed if a test ends early.
pub(crate) struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_messagekit"))
            .args(arguments)
            .env_remove("MESSAGEKIT_DATABASE_URL")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = lines(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }

    /// Waits for the line that begins like this, and returns its rest.
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(DEADLINE) else {
                let (_, err) = self.stop("KILL");
                panic!("{beginning:?} was never said: {err}");
            };
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// Sends a signal and waits for the end: returns the exit code and the text on standard error.
    pub(crate) fn stop(&mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", signal, &id]).status().expect("the signal is sent");
        let mut err = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut err).expect("it is text");
        }
        (self.child.wait().expect("it ends").code(), err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(out: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Sends a request, with a token if there is one.
pub(crate) fn get(url: &str, token: Option<&str>) -> Response<Body> {
    let agent: Agent =
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build().into();
    let request = agent.get(url);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.call().expect("the server answers")
}
