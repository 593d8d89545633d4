//! The load generator: so many connections, each with one call at a time, every answer checked.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::role::Part;
use super::wire::{self, Era, Work};

/// What came of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) calls: usize,
    pub(super) took: Duration,
    /// Sorted, in microseconds.
    latencies: Vec<u32>,
}

impl Run {
    /// In microseconds.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index between 0 and the last"
        )]
        let at = (last * percent / 100.0).round() as usize;
        self.latencies.get(at).copied().map_or(0.0, f64::from)
    }
}

pub(super) async fn run(work: Work, part: &Part, span: Duration) -> anyhow::Result<Run> {
    let mut callers = JoinSet::new();
    for _ in 0..work.concurrency {
        let caller = Caller::open(work, part).await?;
        callers.spawn(async move { caller.call_for(span).await });
    }
    let began = Instant::now();
    let mut latencies = Vec::new();
    while let Some(called) = callers.join_next().await {
        latencies.extend(called??);
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    Ok(Run {
        calls: latencies.len(),
        took,
        latencies,
    })
}

/// One connection.
struct Caller {
    connection: SendRequest<Full<Bytes>>,
    call: Request<Full<Bytes>>,
    /// Ends the session, if there is one: a client may have only so many.
    goodbye: Option<Request<Full<Bytes>>>,
    /// What every answer has in it.
    expected: String,
}

impl Caller {
    async fn open(work: Work, part: &Part) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(part.authority()).await?;
        stream.set_nodelay(true)?;
        let (mut connection, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection.
        tokio::spawn(driver);
        let place = (part.authority(), part.path());
        let token = part.token.as_deref();
        let mut session = None;
        if work.era == Era::Session {
            let hello = wire::request(place, work.era, token, None, &wire::initialize())?;
            connection.ready().await?;
            let answer = connection.send_request(hello).await?;
            let id = answer
                .headers()
                .get("mcp-session-id")
                .context("no session")?;
            session = Some(id.to_str()?.to_owned());
            answer.into_body().collect().await?;
        }
        let session = session.as_deref();
        let list = wire::request(place, work.era, token, session, &wire::list(work.era))?;
        connection.ready().await?;
        let listed = connection.send_request(list).await?;
        let listed = listed.into_body().collect().await?.to_bytes();
        let listed: Value = serde_json::from_slice(&listed)?;
        let tools = listed["result"]["tools"].as_array().context("no tools")?;
        // Where two servers have it, the last one's has another name, which is put right on the way.
        let name = tools.last().and_then(|tool| tool["name"].as_str());
        let call = wire::call(work, name.context("no tool")?);
        Ok(Self {
            connection,
            call: wire::request(place, work.era, token, session, &call)?,
            goodbye: session
                .map(|session| wire::goodbye(place, token, session))
                .transpose()?,
            expected: format!("\"{}\"", wire::text(work.payload)),
        })
    }

    async fn call_for(mut self, span: Duration) -> anyhow::Result<Vec<u32>> {
        let mut latencies = Vec::with_capacity(1 << 16);
        let end = Instant::now() + span;
        loop {
            let began = Instant::now();
            self.connection.ready().await?;
            if began >= end {
                break;
            }
            let answer = self.connection.send_request(self.call.clone()).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            let is_right = memchr::memmem::find(&body, self.expected.as_bytes()).is_some();
            anyhow::ensure!(
                status == 200 && is_right,
                "a wrong answer ({status}): {}",
                String::from_utf8_lossy(&body[..body.len().min(500)])
            );
            let took = began.elapsed().as_micros();
            latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        if let Some(goodbye) = self.goodbye {
            // Whatever the answer is: servers may have no sessions to end.
            self.connection.send_request(goodbye).await?;
        }
        Ok(latencies)
    }
}
