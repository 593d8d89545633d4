//! The stdio transport: a message a line. The process is one session.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde_json::Value;

use crate::fault::{Fault, GARBAGE};
use crate::rpc::{self, Error, INTERNAL, Incoming, PARSE_ERROR};
use crate::server::{Peer, Server, Session};
use crate::tools;

/// Serves until the input ends. Calls that still run then end with the process.
pub(crate) fn serve(server: &Arc<Server>, fault: Option<Fault>) -> io::Result<()> {
    let out = Output {
        garbage: fault == Some(Fault::GarbageOnStdout),
    };
    let session = Arc::new(Session::default());
    if out.garbage {
        io::stdout().write_all(GARBAGE)?;
    }
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => take(server, &session, out, message)?,
            Err(error) => {
                let error = Error::new(PARSE_ERROR, format!("not JSON: {error}"));
                out.write(&rpc::failure(&Value::Null, error))?;
            }
        }
    }
}

fn take(
    server: &Arc<Server>,
    session: &Arc<Session>,
    out: Output,
    message: Value,
) -> io::Result<()> {
    match rpc::read(&message) {
        Ok(Incoming::Request(request)) => {
            let is_call = request.method == "tools/call";
            if !(is_call && tools::is_slow(request.params)) {
                return answer(server, session, out, &message);
            }
            let id = request.id.clone();
            // A cancellation may be the very next line.
            session.running.begin(&id);
            let (server, session) = (Arc::clone(server), Arc::clone(session));
            let call = {
                let id = id.clone();
                move || {
                    let written = answer(&server, &session, out, &message);
                    // Also where it was refused before it began.
                    session.running.end(&id);
                    if let Err(error) = written {
                        crate::log(&format!("an answer could not be written: {error}"));
                    }
                }
            };
            match std::thread::Builder::new().spawn(call) {
                Ok(_) => Ok(()),
                Err(error) => {
                    let error = Error::new(INTERNAL, format!("too many calls at once: {error}"));
                    out.write(&rpc::failure(&id, error))
                }
            }
        }
        Ok(Incoming::Notification { method, params }) => {
            server.note(method, params, session);
            Ok(())
        }
        Ok(Incoming::Response) => Ok(()),
        Err(error) => out.write(&rpc::failure(&message["id"], error)),
    }
}

fn answer(server: &Server, session: &Session, out: Output, message: &Value) -> io::Result<()> {
    let Ok(Incoming::Request(request)) = rpc::read(message) else {
        return Ok(());
    };
    match server.answer(&request, session, &out) {
        Ok(Some(result)) => out.write(&rpc::success(request.id, result)),
        Ok(None) => Ok(()),
        Err(error) => out.write(&rpc::failure(request.id, error)),
    }
}

/// Standard output, a whole message at a time.
#[derive(Clone, Copy, Debug)]
struct Output {
    garbage: bool,
}

impl Output {
    fn write(self, message: &Value) -> io::Result<()> {
        let mut line = if self.garbage {
            GARBAGE.to_vec()
        } else {
            Vec::new()
        };
        serde_json::to_writer(&mut line, message)?;
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        out.flush()
    }
}

impl Peer for Output {
    fn notify(&self, message: &Value) {
        // A client that is gone shows when the input ends.
        let _ = self.write(message);
    }

    fn is_gone(&self) -> bool {
        false
    }
}
