//! One connection of a client: of the session era with a session, of the modern era without.

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::role::Place;
use super::wire::{self, Era};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Link {
    connection: SendRequest<Full<Bytes>>,
    place: Place,
    era: Era,
    session: Option<String>,
}

impl Link {
    /// Connects; says nothing yet.
    pub(super) async fn connect(place: &Place, era: Era) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(place.authority()).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection.
        tokio::spawn(driver);
        Ok(Self {
            connection,
            place: place.clone(),
            era,
            session: None,
        })
    }

    /// Opens a session, in the era that has them.
    pub(super) async fn begin(&mut self) -> anyhow::Result<()> {
        if self.era == Era::Modern {
            return Ok(());
        }
        let hello = self.request(&wire::initialize())?;
        self.connection.ready().await?;
        let answer = self.connection.send_request(hello).await?;
        let id = answer.headers().get("mcp-session-id");
        self.session = Some(id.context("no session")?.to_str()?.to_owned());
        answer.into_body().collect().await?;
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.send(self.request(&ready)?).await?;
        Ok(())
    }

    /// The names of the tools.
    pub(super) async fn tools(&mut self) -> anyhow::Result<Vec<String>> {
        let list = self.request(&wire::list(self.era))?;
        let body = self.send(list).await?;
        let listed: Value = serde_json::from_slice(wire::message_in(&body))?;
        let tools = listed["result"]["tools"].as_array();
        let tools = tools.with_context(|| format!("no tools: {listed}"))?;
        let names = tools.iter().filter_map(|tool| tool["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// A request with a message.
    pub(super) fn request(&self, message: &Value) -> anyhow::Result<Request<Full<Bytes>>> {
        let place = (self.place.authority(), self.place.path());
        let token = self.place.token.as_deref();
        wire::request(place, self.era, token, self.session.as_deref(), message)
    }

    /// Sends it and gives the answer's body.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        self.connection.ready().await?;
        let answer = self.connection.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let is_fine = matches!(status, StatusCode::OK | StatusCode::ACCEPTED);
        anyhow::ensure!(is_fine, "{status}: {}", wire::shown(&body));
        Ok(body)
    }

    /// Ends the session, if there is one: a client may have only so many.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        if let Some(session) = &self.session {
            let place = (self.place.authority(), self.place.path());
            let goodbye = wire::goodbye(place, self.place.token.as_deref(), session)?;
            self.connection.ready().await?;
            // Whatever the answer is: servers may have no sessions to end.
            let answer = self.connection.send_request(goodbye).await?;
            answer.into_body().collect().await?;
        }
        Ok(())
    }
}
