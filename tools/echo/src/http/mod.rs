//! The Streamable HTTP transport, at `/mcp`: as much of HTTP/1.1 as that needs, a thread a connection.
//!
//! * [`message`]: reading requests, writing responses.
//! * [`endpoint`]: POST, GET and DELETE; sessions; both eras.
//! * [`check`]: what headers must say (2026-07-28), and where requests may come from.

mod check;
mod endpoint;
mod message;

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::server::Server;
use endpoint::Endpoint;

/// How long a connection may rest, or take to send a request.
const IDLE: Duration = Duration::from_secs(60);

/// Serves until the process ends.
pub(crate) fn serve(server: &Arc<Server>, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    crate::log(&format!("ready on http://{}/mcp", listener.local_addr()?));
    let endpoint = Arc::new(Endpoint::new(Arc::clone(server)));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Of that one connection, or no descriptors left for the moment.
                crate::log(&format!("a connection was lost: {error}"));
                std::thread::yield_now();
                continue;
            }
        };
        let endpoint = Arc::clone(&endpoint);
        let connection = move || {
            // Who breaks off or talks nonsense is no event worth a line.
            let _ = converse(&endpoint, &stream);
        };
        if let Err(error) = std::thread::Builder::new().spawn(connection) {
            crate::log(&format!("too many connections at once: {error}"));
        }
    }
}

fn converse(endpoint: &Endpoint, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = match message::read(&mut reader, stream)? {
            message::Read::Request(request) => request,
            message::Read::Closed => return Ok(()),
            message::Read::Bad(status) => return message::respond(stream, status, &[], b"", true),
        };
        let close = request.close;
        endpoint.serve(&request, stream)?;
        if close {
            return Ok(());
        }
    }
}
