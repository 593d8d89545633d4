//! `/mcp`: POST takes messages, DELETE ends a session, GET is not offered.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::check;
use super::message::{self, Request};
use crate::era;
use crate::rpc::{self, Error, Incoming};
use crate::server::{Peer, Server, Session};

const SESSION_HEADER: &str = "mcp-session-id";
/// Then new ones are refused until old ones are deleted.
const SESSIONS_MAX: usize = 10_000;

const OK: &str = "200 OK";
const BAD_REQUEST: &str = "400 Bad Request";
const NOT_FOUND: &str = "404 Not Found";

/// The endpoint and its sessions.
#[derive(Debug)]
pub(super) struct Endpoint {
    server: Arc<Server>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Endpoint {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            sessions: Mutex::default(),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, request: &Request) -> Result<Arc<Session>, &'static str> {
        let id = request.header(SESSION_HEADER).ok_or(BAD_REQUEST)?;
        self.sessions().get(id).cloned().ok_or(NOT_FOUND)
    }

    pub(super) fn serve(&self, request: &Request, stream: &TcpStream) -> io::Result<()> {
        let plain = |status| message::respond(stream, status, &[], b"", request.close);
        if request.path != "/mcp" {
            return plain(NOT_FOUND);
        }
        if !check::origin_allowed(request) {
            return plain("403 Forbidden");
        }
        match request.method.as_str() {
            "POST" => self.post(request, stream),
            "DELETE" if request.header(SESSION_HEADER).is_some() => {
                let id = request.header(SESSION_HEADER).unwrap_or_default();
                let ended = self.sessions().remove(id).is_some();
                plain(if ended { OK } else { NOT_FOUND })
            }
            _ => {
                let allow = [("allow", "POST, DELETE")];
                message::respond(stream, "405 Method Not Allowed", &allow, b"", request.close)
            }
        }
    }

    fn post(&self, request: &Request, stream: &TcpStream) -> io::Result<()> {
        let reply = Reply { request, stream };
        let body: Value = match serde_json::from_slice(&request.body) {
            Ok(body) => body,
            Err(error) => {
                let error = Error::new(rpc::PARSE_ERROR, format!("not JSON: {error}"));
                return reply.failure(BAD_REQUEST, &Value::Null, error);
            }
        };
        match rpc::read(&body) {
            Ok(Incoming::Request(call)) => self.request(call, reply),
            Ok(Incoming::Notification { method, params }) => {
                match self.session(request) {
                    Ok(session) => self.server.note(method, params, &session),
                    // Modern notifications belong to no session, and none concerns us over HTTP.
                    Err(_) if request.header(SESSION_HEADER).is_none() => {}
                    Err(status) => return reply.plain(status),
                }
                reply.plain("202 Accepted")
            }
            Ok(Incoming::Response) => reply.plain("202 Accepted"),
            Err(error) => reply.failure(BAD_REQUEST, &body["id"], error),
        }
    }

    fn request(&self, call: rpc::Request<'_>, reply: Reply<'_>) -> io::Result<()> {
        if check::is_modern(reply.request, call.method, call.params) {
            if let Err(error) = check::modern(reply.request, call.method, call.params) {
                return reply.failure(BAD_REQUEST, call.id, error);
            }
            // Nobody can cancel a call of this era by its id, so each has its own session.
            return self.call(call, &Session::default(), reply);
        }
        if call.method == "initialize" {
            return self.initialize(call, reply);
        }
        if let Err(error) = check::session_version(reply.request) {
            return reply.failure(BAD_REQUEST, call.id, error);
        }
        match self.session(reply.request) {
            Ok(session) => self.call(call, &session, reply),
            Err(status) => {
                let what = "no such session: send initialize, and its Mcp-Session-Id from then on";
                reply.failure(status, call.id, Error::new(rpc::INVALID_REQUEST, what))
            }
        }
    }

    fn initialize(&self, call: rpc::Request<'_>, reply: Reply<'_>) -> io::Result<()> {
        let session = Session::default();
        match self.server.answer(&call, &session, &crate::server::Nobody) {
            Ok(result) => {
                let id = new_id()?;
                {
                    let mut sessions = self.sessions();
                    if sessions.len() >= SESSIONS_MAX {
                        drop(sessions);
                        return reply.plain("503 Service Unavailable");
                    }
                    sessions.insert(id.clone(), Arc::new(session));
                }
                let answer = rpc::success(call.id, result.unwrap_or_default());
                reply.json(OK, &[(SESSION_HEADER, &id)], &answer)
            }
            Err(error) => reply.failure(OK, call.id, error),
        }
    }

    fn call(&self, call: rpc::Request<'_>, session: &Session, reply: Reply<'_>) -> io::Result<()> {
        let accepts_events = reply
            .request
            .all("accept")
            .any(|accept| accept.contains("text/event-stream"));
        let wants_progress = !call.params["_meta"]["progressToken"].is_null();
        if accepts_events && wants_progress && call.method == "tools/call" {
            message::begin_events(reply.stream)?;
            let peer = Client {
                request: reply.request,
                stream: reply.stream,
                events: true,
            };
            let answer = match self.server.answer(&call, session, &peer) {
                Ok(Some(result)) => Some(rpc::success(call.id, result)),
                Ok(None) => None,
                Err(error) => Some(rpc::failure(call.id, error)),
            };
            if let Some(answer) = answer {
                message::event(reply.stream, &answer)?;
            }
            return message::end_events(reply.stream);
        }
        let peer = Client {
            request: reply.request,
            stream: reply.stream,
            events: false,
        };
        match self.server.answer(&call, session, &peer) {
            Ok(Some(result)) => reply.json(OK, &[], &rpc::success(call.id, result)),
            // Cancelled: there is nothing to say, but HTTP wants a response.
            Ok(None) => reply.plain("202 Accepted"),
            Err(error) => {
                let modern = era::stated_version(call.params).is_some();
                let status = match error.code {
                    rpc::METHOD_NOT_FOUND if modern => NOT_FOUND,
                    rpc::UNSUPPORTED_VERSION => BAD_REQUEST,
                    rpc::INVALID_PARAMS if modern && error.message.starts_with("_meta") => {
                        BAD_REQUEST
                    }
                    _ => OK,
                };
                reply.failure(status, call.id, error)
            }
        }
    }
}

/// Where a response goes.
#[derive(Clone, Copy)]
struct Reply<'a> {
    request: &'a Request,
    stream: &'a TcpStream,
}

impl Reply<'_> {
    fn plain(self, status: &str) -> io::Result<()> {
        message::respond(self.stream, status, &[], b"", self.request.close)
    }

    fn json(self, status: &str, headers: &[(&str, &str)], body: &Value) -> io::Result<()> {
        let body = serde_json::to_vec(body)?;
        message::respond(self.stream, status, headers, &body, self.request.close)
    }

    fn failure(self, status: &str, id: &Value, error: Error) -> io::Result<()> {
        self.json(status, &[], &rpc::failure(id, error))
    }
}

/// The client of a running call.
struct Client<'a> {
    request: &'a Request,
    stream: &'a TcpStream,
    events: bool,
}

impl Peer for Client<'_> {
    fn notify(&self, message: &Value) {
        if self.events {
            // A client that is gone shows in `is_gone`.
            let _ = message::event(self.stream, message);
        }
    }

    fn is_gone(&self) -> bool {
        let looked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]))
            .map_err(|error| error.kind());
        let back = self.stream.set_nonblocking(false);
        match looked {
            Ok(0) => true,
            Ok(_) | Err(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => back.is_err(),
            Err(_) => true,
        }
    }

    fn headers(&self) -> &[(String, String)] {
        &self.request.headers
    }
}

/// 128 random bits.
fn new_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}
