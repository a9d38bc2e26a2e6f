//! Calls over HTTP to one server.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::typestate::WithBody;
use ureq::{Agent, Body, Error, RequestBuilder};

/// The limit of a call, far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A client of one server, with a token if it needs one.
#[derive(Clone, Debug)]
pub struct Caller {
    agent: Agent,
    address: String,
    authorization: Option<String>,
}

impl Caller {
    /// A client without a token. The address begins with `http://`.
    pub fn of(address: &str) -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        Self { agent: config.build().into(), address: address.to_owned(), authorization: None }
    }

    /// A client with a token.
    pub fn with_token(address: &str, secret: &str) -> Self {
        Self { authorization: Some(format!("Bearer {secret}")), ..Self::of(address) }
    }

    /// Sends a GET request, and returns status and text, or `None` if the server does not answer.
    pub fn answer(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = self.ask(path).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// Sends a GET request, and returns status and JSON.
    ///
    /// # Panics
    /// If the server does not answer with JSON.
    pub fn get(&self, path: &str) -> (u16, Value) {
        json(self.ask(path)).expect("the server answers with JSON")
    }

    /// Sends a GET request that must succeed, and returns the JSON.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn shows(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Sends a GET request that must succeed, and returns the bytes.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn downloads(&self, path: &str) -> Vec<u8> {
        let mut answer = self.ask(path).expect("the server answers");
        assert_eq!(answer.status().as_u16(), 200, "GET {path}");
        answer.body_mut().read_to_vec().expect("bytes")
    }

    /// Sends a POST request without a body, and returns status and JSON.
    ///
    /// # Panics
    /// If the server does not answer with JSON.
    pub fn acts(&self, path: &str) -> (u16, Value) {
        json(self.post(path).send_empty()).expect("the server answers with JSON")
    }

    /// Sends JSON, and returns status and JSON.
    ///
    /// # Panics
    /// If the server does not answer with JSON.
    pub fn sends(&self, path: &str, body: &Value) -> (u16, Value) {
        self.tries(path, body).expect("the server answers with JSON")
    }

    /// Sends JSON, and returns status and JSON, or the error if the server does not answer.
    ///
    /// # Errors
    /// Returns an error when the server does not answer, or ends before its answer is complete.
    pub fn tries(&self, path: &str, body: &Value) -> Result<(u16, Value), Error> {
        json(self.post(path).send_json(body))
    }

    fn ask(&self, path: &str) -> Result<Response<Body>, Error> {
        self.authorized(self.agent.get(format!("{}{path}", self.address))).call()
    }

    fn post(&self, path: &str) -> RequestBuilder<WithBody> {
        self.authorized(self.agent.post(format!("{}{path}", self.address)))
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }
}

fn json(answer: Result<Response<Body>, Error>) -> Result<(u16, Value), Error> {
    let mut answer = answer?;
    Ok((answer.status().as_u16(), answer.body_mut().read_json()?))
}
