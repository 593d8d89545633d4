//! The methods, in both eras, apart from how messages travel.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::cancel::Running;
use crate::era::{self, Era, MODERN_VERSION};
use crate::rpc::{Error, INVALID_REQUEST, METHOD_NOT_FOUND, Request};
use crate::{content, tools};

/// Where a request came from, for what is said before its answer.
pub(crate) trait Peer {
    /// Says something; a peer that has no way to hear it misses it.
    fn notify(&self, message: &Value);
    /// Whether the client has gone away, so that nobody waits for the answer.
    fn is_gone(&self) -> bool;
    /// The headers that its request came with, names in lower case; none where there is no HTTP.
    fn headers(&self) -> &[(String, String)] {
        &[]
    }
}

/// A peer that hears nothing and stays.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Peer for Nobody {
    fn notify(&self, _: &Value) {}

    fn is_gone(&self) -> bool {
        false
    }
}

/// What a client has agreed on with `initialize`, and its running calls.
#[derive(Debug, Default)]
pub(crate) struct Session {
    version: OnceLock<&'static str>,
    pub(crate) running: Running,
}

/// The server: its configuration.
#[derive(Debug)]
pub(crate) struct Server {
    greeting: String,
    info: Value,
}

impl Server {
    /// Takes `GREETING`.
    pub(crate) fn from_environment() -> Self {
        Self::new(std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned()))
    }

    pub(crate) fn new(greeting: String) -> Self {
        let info = json!({
            "name": "agentopia-echo",
            "title": "Agentopia Echo",
            "version": env!("CARGO_PKG_VERSION"),
        });
        Self { greeting, info }
    }

    /// Answers a request; `Ok(None)` if it was cancelled.
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        session: &Session,
        peer: &dyn Peer,
    ) -> Result<Option<Value>, Error> {
        let era = era::of(request)?;
        let result = match (era, request.method) {
            (Era::Session, "initialize") => return self.initialize(request, session).map(Some),
            (Era::Session, "ping") => json!({}),
            (Era::Modern, "server/discover") => json!({
                "supportedVersions": [MODERN_VERSION],
                "capabilities": capabilities(),
                "instructions": self.instructions(),
            }),
            (Era::Session, _) if session.version.get().is_none() => {
                let message = "not initialized: send initialize first, or the version in _meta";
                return Err(Error::new(INVALID_REQUEST, message));
            }
            _ => match self.common(request, session, peer)? {
                Some(result) => result,
                None => return Ok(None),
            },
        };
        Ok(Some(match era {
            Era::Session => result,
            Era::Modern => era::dress(request.method, result, &self.info),
        }))
    }

    /// What is the same in both eras.
    fn common(
        &self,
        request: &Request<'_>,
        session: &Session,
        peer: &dyn Peer,
    ) -> Result<Option<Value>, Error> {
        let params = request.params;
        Ok(Some(match request.method {
            "tools/list" => tools::list(),
            "tools/call" => {
                let cancel = session.running.begin(request.id);
                let result = tools::call(params, peer, &cancel);
                session.running.end(request.id);
                return result;
            }
            "resources/list" => content::resources(),
            "resources/templates/list" => content::templates(),
            "resources/read" => content::read(params, &self.greeting)?,
            "prompts/list" => content::prompts(),
            "prompts/get" => content::prompt(params, &self.greeting)?,
            _ => return Err(Error::new(METHOD_NOT_FOUND, "Method not found")),
        }))
    }

    fn initialize(&self, request: &Request<'_>, session: &Session) -> Result<Value, Error> {
        let version = era::negotiate(&request.params["protocolVersion"]);
        if session.version.set(version).is_err() {
            return Err(Error::new(INVALID_REQUEST, "already initialized"));
        }
        Ok(json!({
            "protocolVersion": version,
            "capabilities": capabilities(),
            "serverInfo": self.info,
            "instructions": self.instructions(),
        }))
    }

    /// Takes note of a notification.
    pub(crate) fn note(&self, method: &str, params: &Value, session: &Session) {
        if method == "notifications/cancelled" {
            session.running.cancel(&params["requestId"]);
        }
    }

    fn instructions(&self) -> String {
        format!(
            "{}! Tools that give back what they get, for trying things out.",
            self.greeting
        )
    }
}

fn capabilities() -> Value {
    json!({ "tools": {}, "resources": {}, "prompts": {} })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(session: &Session, method: &str, params: Value) -> Result<Value, Error> {
        let server = Server::new("Hi".to_owned());
        let request = Request {
            id: &json!(1),
            method,
            params: &params,
        };
        server
            .answer(&request, session, &Nobody)
            .map(Option::unwrap)
    }

    fn modern() -> Value {
        json!({ "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
        } })
    }

    #[test]
    fn a_session_starts_with_initialize() {
        let session = Session::default();
        assert_eq!(
            ask(&session, "tools/list", json!({})).unwrap_err().code,
            INVALID_REQUEST
        );
        assert_eq!(ask(&session, "ping", json!({})).unwrap(), json!({}));
        let version = json!({ "protocolVersion": "2025-06-18" });
        let result = ask(&session, "initialize", version.clone()).unwrap();
        assert_eq!(result["protocolVersion"], "2025-06-18");
        assert_eq!(
            ask(&session, "tools/list", json!({})).unwrap()["tools"][0]["name"],
            "echo"
        );
        assert_eq!(
            ask(&session, "initialize", version).unwrap_err().code,
            INVALID_REQUEST
        );
    }

    #[test]
    fn session_answers_carry_nothing_modern() {
        let session = Session::default();
        ask(&session, "initialize", json!({})).unwrap();
        let result = ask(&session, "tools/list", json!({})).unwrap();
        assert_eq!(
            result.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["tools"]
        );
    }

    #[test]
    fn a_modern_request_stands_alone() {
        let session = Session::default();
        let result = ask(&session, "tools/list", modern()).unwrap();
        assert_eq!(result["resultType"], "complete");
        assert_eq!(result["cacheScope"], "private");
        assert_eq!(
            result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
            "agentopia-echo"
        );
        let discovered = ask(&session, "server/discover", modern()).unwrap();
        assert_eq!(discovered["supportedVersions"], json!([MODERN_VERSION]));
    }

    #[test]
    fn each_era_has_its_own_methods() {
        let session = Session::default();
        assert_eq!(
            ask(&session, "ping", modern()).unwrap_err().code,
            METHOD_NOT_FOUND
        );
        assert_eq!(
            ask(&session, "initialize", modern()).unwrap_err().code,
            METHOD_NOT_FOUND
        );
        assert_eq!(
            ask(&session, "nonsense", modern()).unwrap_err().code,
            METHOD_NOT_FOUND
        );
    }
}
