//! The REST interface of a Kafka Connect worker. Every call has a time limit.

use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use serde_json::{Map, Value};
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::output::printable;
use crate::url::Url;

/// The time limit of one call, so that a hung worker is reported.
const CALL: Duration = Duration::from_secs(5);
/// Changing a connector connects to the database and may wait for other workers.
const CHANGE: Duration = Duration::from_secs(20);

/// How long a worker may rebalance, and how often it is asked meanwhile.
const REBALANCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub(crate) struct Worker {
    agent: Agent,
    url: Url,
    /// The URL without user and password.
    place: String,
}

/// The state that the worker reports for a connector; it does not show whether rows arrive.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) connector: String,
    /// `None` while there is no task.
    pub(crate) task: Option<String>,
    /// The first line of the failure of connector or task, and of its last cause.
    pub(crate) trace: Option<String>,
}

impl Told {
    pub(crate) fn has_failed(&self) -> bool {
        self.connector == "FAILED" || self.task.as_deref() == Some("FAILED")
    }

    pub(crate) fn is_running(&self) -> bool {
        self.connector == "RUNNING" && self.task.as_deref() == Some("RUNNING")
    }
}

impl Worker {
    pub(crate) fn at(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) else {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "not the URL of a worker: write http://HOST:PORT after --connect",
            ));
        };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        let url = url.trim_end_matches('/').to_owned().into();
        Ok(Self { agent, url, place: printable(place.trim_end_matches('/')) })
    }

    /// Returns the settings of a connector, or `None` if none of this name exists.
    pub(crate) async fn settings(&self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        let (path, bodiless) = (format!("/connectors/{name}/config"), Vec::new());
        let (answer, _) = self.patiently(Method::GET, path, bodiless, CALL).await?;
        match answer {
            (200, Value::Object(settings)) => Ok(Some(settings)),
            (404, body) if is_absent(&body) => Ok(None),
            (status, body) => Err(self.refusal("read the connector", status, &body)),
        }
    }

    pub(crate) async fn put(&self, name: &str, settings: &Map<String, Value>) -> Result<(), Error> {
        let body = serde_json::to_vec(settings).expect("a map is JSON");
        self.change(Method::PUT, format!("/connectors/{name}/config"), Some(body)).await.map(drop)
    }

    /// Restarts a failed connector or its failed task.
    pub(crate) async fn restart(&self, name: &str) -> Result<(), Error> {
        let path = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed=true");
        self.change(Method::POST, path, None).await.map(drop)
    }

    /// Resumes a connector that was paused or stopped.
    pub(crate) async fn resume(&self, name: &str) -> Result<(), Error> {
        self.change(Method::PUT, format!("/connectors/{name}/resume"), None).await.map(drop)
    }

    pub(crate) async fn stop(&self, name: &str) -> Result<bool, Error> {
        self.change(Method::PUT, format!("/connectors/{name}/stop"), None).await
    }

    /// Deletes the read position of a stopped connector.
    pub(crate) async fn forget(&self, name: &str) -> Result<bool, Error> {
        self.change(Method::DELETE, format!("/connectors/{name}/offsets"), None).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<bool, Error> {
        self.change(Method::DELETE, format!("/connectors/{name}"), None).await
    }

    /// Returns the state of a connector, or `None` if none of this name exists.
    pub(crate) async fn told(&self, name: &str) -> Result<Option<Told>, Error> {
        let (status, body) = self.get(format!("/connectors/{name}/status")).await?;
        match status {
            200 => {}
            404 if is_absent(&body) => return Ok(None),
            _ => return Err(self.refusal("read the connector's state", status, &body)),
        }
        let text = |value: &Value| value.as_str().map(printable);
        let (connector, task) = (&body["connector"], &body["tasks"][0]);
        Ok(Some(Told {
            connector: text(&connector["state"]).unwrap_or_default(),
            task: text(&task["state"]),
            trace: task["trace"].as_str().or(connector["trace"].as_str()).map(cause),
        }))
    }

    /// Sends a change; returns `false` for a missing connector.
    async fn change(&self, method: Method, path: String, body: Option<Vec<u8>>) -> Result<bool, Error> {
        let is_deletion = method == Method::DELETE;
        let ((status, body), was_late) =
            self.patiently(method, path, body.unwrap_or_default(), CHANGE).await?;
        match status {
            200..=299 => Ok(true),
            // The answer to a deletion that was late is that of its repetition.
            404 if is_absent(&body) => Ok(is_deletion && was_late),
            _ => Err(self.refusal("change the connector", status, &body)),
        }
    }

    /// Calls again while the worker rebalances or is not ready: then it refuses, or answers late. A repeated call changes nothing
    /// more. It also returns whether an answer was late.
    async fn patiently(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<((u16, Value), bool), Error> {
        let (end, mut was_late) = (Instant::now() + REBALANCE, false);
        loop {
            let answer = self.call(method.clone(), path.clone(), body.clone(), limit).await;
            let is_late = answer.as_ref().is_err_and(is_timeout);
            let is_busy =
                answer.as_ref().is_ok_and(|(status, body)| *status == 503 || is_rebalance(*status, body));
            was_late |= is_late;
            if (is_late || is_busy) && Instant::now() < end {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            return Ok((answer?, was_late));
        }
    }

    async fn get(&self, path: String) -> Result<(u16, Value), Error> {
        self.call(Method::GET, path, Vec::new(), CALL).await
    }

    async fn call(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<(u16, Value), Error> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", &*self.url));
        let asked = tokio::task::spawn_blocking(move || {
            let bodiless = method == Method::GET || method == Method::DELETE;
            let request =
                Request::builder().method(method).uri(url).header("content-type", "application/json");
            let mut response = if bodiless {
                let request = agent.configure_request(request.body(())?).timeout_global(Some(limit)).build();
                agent.run(request)
            } else {
                let request =
                    agent.configure_request(request.body(body)?).timeout_global(Some(limit)).build();
                agent.run(request)
            }?;
            let text = response.body_mut().read_to_string()?;
            // Before the worker is ready, its port answers with a page instead of JSON.
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            Ok::<_, ureq::Error>((response.status().as_u16(), body))
        });
        match asked.await.expect("a call does not panic") {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let text = match &error {
                    ureq::Error::Timeout(_) => {
                        let limit = limit.as_secs();
                        format!(
                            "Kafka Connect does not answer within {limit} s, or Kafka is down: look at their logs"
                        )
                    }
                    _ => "Kafka Connect is not reachable: start the worker, or correct --connect".to_owned(),
                };
                Err(Error::new(ErrorKind::Unavailable, text).with("connect", &self.place).caused_by(error))
            }
        }
    }

    fn refusal(&self, what: &str, status: u16, body: &Value) -> Error {
        let said = body["message"].as_str().map(printable_line).unwrap_or_default();
        if is_rebalance(status, body) {
            let text = "the workers are sharing out their work at the moment: try again in a few seconds";
            return Error::new(ErrorKind::Unavailable, text).with("connect", &self.place);
        }
        let (kind, text) = match status {
            401 | 403 => (ErrorKind::Other, "it asks for a user: write them into --connect".to_owned()),
            503 => (ErrorKind::Unavailable, "it is not ready yet: try again".to_owned()),
            _ if said.is_empty() => (ErrorKind::Other, "is this the URL of a worker?".to_owned()),
            _ => (ErrorKind::Other, said),
        };
        let text = format!("Kafka Connect does not {what}: HTTP {status}: {text}");
        Error::new(kind, text).with("connect", &self.place)
    }
}

/// A worker sends 404 in a JSON document; any other server is not a worker.
fn is_absent(body: &Value) -> bool {
    body["error_code"] == 404
}

/// During a rebalance a worker refuses a change with 409. What it only reads, it answers with 500 and the name of the reason.
fn is_rebalance(status: u16, body: &Value) -> bool {
    let is_expected =
        || body["message"].as_str().is_some_and(|said| said.contains("a rebalance is expected"));
    status == 409 || (status == 500 && is_expected())
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.cause(), Some(ureq::Error::Timeout(_)))
}

fn printable_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    printable(&lines.join(" ")).chars().take(400).collect()
}

/// Returns the cause of a failure: the first line of a trace names the failure, its last cause explains it.
fn cause(trace: &str) -> String {
    let first = trace.lines().next().unwrap_or_default();
    let last = trace.lines().rev().find_map(|line| line.strip_prefix("Caused by: "));
    let class = |line: &str| -> String {
        let (class, text) = line.split_once(": ").unwrap_or((line, ""));
        let class = class.rsplit('.').next().unwrap_or(class);
        if text.is_empty() { class.to_owned() } else { format!("{class}: {text}") }
    };
    let text = match last {
        Some(last) => format!("{}; cause: {}", class(first), class(last)),
        None => class(first),
    };
    printable_line(&text)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_trace_is_shortened_to_its_first_line_and_last_cause() {
        let trace = "org.apache.kafka.connect.errors.ConnectException: Error.\n\tat a.b.C\nCaused by: a.B: middle\n\tat x\nCaused by: org.postgresql.util.PSQLException: FATAL: no\n\tat y";
        assert_eq!(cause(trace), "ConnectException: Error.; cause: PSQLException: FATAL: no");
        assert_eq!(cause("java.lang.NullPointerException"), "NullPointerException");
    }

    #[test]
    fn a_worker_that_rebalances_is_asked_again() {
        let worker = Worker::at("http://connect:8083").unwrap();
        let kind = |status: u16, said: &str| {
            worker.refusal("read the connector", status, &serde_json::json!({ "message": said })).kind()
        };
        assert_eq!(kind(409, "a conflicting operation"), ErrorKind::Unavailable);
        let expected = "Request cannot be completed because a rebalance is expected";
        assert_eq!(kind(500, expected), ErrorKind::Unavailable);
        assert_eq!(kind(500, "a null pointer"), ErrorKind::Other);
    }

    /// Answers one request after the other.
    fn answers(answers: &'static [(u16, &'static str)]) -> (Worker, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = Worker::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let read = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = read.map(Result::unwrap).take_while(|line| !line.is_empty());
                assert!(head.count() > 0);
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                )
                .unwrap();
            }
        };
        (worker, std::thread::spawn(serve))
    }

    #[tokio::test]
    async fn the_settings_are_asked_for_again_during_a_rebalance() {
        const ANSWERS: [(u16, &str); 3] = [
            (500, r#"{"message": "Request cannot be completed because a rebalance is expected"}"#),
            (503, "starting"),
            (200, r#"{"name": "shop"}"#),
        ];
        let (worker, serving) = answers(&ANSWERS);
        let settings = worker.settings("shop").await.unwrap().expect("it exists");
        assert_eq!(settings["name"], "shop");
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn a_change_is_sent_again_during_a_rebalance() {
        const ANSWERS: [(u16, &str); 3] =
            [(409, r#"{"message": "a conflicting operation"}"#), (503, "starting"), (200, "{}")];
        let (worker, serving) = answers(&ANSWERS);
        assert!(worker.delete("shop").await.unwrap(), "it was there");
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_is_not_reachable_is_reported_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = Worker::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let began = Instant::now();
        let error = worker.settings("shop").await.unwrap_err();
        assert!(error.to_string().contains("not reachable"), "{error}");
        assert!(began.elapsed() < REBALANCE);
    }

    #[test]
    fn a_password_in_the_url_is_not_kept_for_errors() {
        let worker = Worker::at("http://me:s3cret@connect:8083/").unwrap();
        assert_eq!(worker.place, "connect:8083");
        assert!(!format!("{worker:?}").contains("s3cret"), "{worker:?}");
        for wrong in ["connect:8083", "", "http://", "ftp://x", "http://a b"] {
            let error = Worker::at(wrong).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{wrong}");
        }
    }
}
