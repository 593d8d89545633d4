//! What sessions cost the gateway: memory for each that is idle and for each with an open stream, and how long
//! a list takes when there are ten thousand. Every session has initialized, listed the tools of two servers,
//! and so has a session with each of them.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::role::{Part, Role, resident};
use super::wire::{self, Era};
use crate::measure::Samples;
use crate::report::Record;

const BENCH: &str = "sessions";
/// Sessions at the first look and at the last; what the first ones cost is pools and tables as well.
const FEW: usize = 1_000;
const MANY: usize = 10_000;
/// How many of them get a stream.
const STREAMS: usize = 1_000;
/// How many lists are timed.
const LISTS: usize = 1_000;
/// Targets: MiB idle, MiB for a thousand sessions, MiB for a thousand with a stream.
const IDLE: f64 = 12.0;
const SESSIONS: f64 = 3.0;
const WITH_STREAMS: f64 = 40.0;
/// Until what an allocator gives back is given back.
const REST: Duration = Duration::from_secs(3);

type Connection = SendRequest<Full<Bytes>>;

pub(crate) async fn run() -> anyhow::Result<Vec<Record>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = (4 * STREAMS as u64).min(hard);
    // Children inherit it.
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?;
    let upstream = Part::start(Role::Upstream, None).await?;
    let gateway = Part::start(Role::Gateway, Some(&upstream.place.url)).await?;
    let idle = memory(&gateway).await?;

    let mut connection = connect(&gateway).await?;
    let mut sessions = Vec::with_capacity(MANY);
    let began = Instant::now();
    while sessions.len() < FEW {
        sessions.push(open(&mut connection, &gateway).await?);
    }
    let few = memory(&gateway).await?;
    while sessions.len() < MANY {
        sessions.push(open(&mut connection, &gateway).await?);
    }
    let took = began.elapsed();
    let many = memory(&gateway).await?;

    let mut lists = Samples::default();
    for session in sessions.iter().step_by(MANY / LISTS) {
        let began = Instant::now();
        list(&mut connection, &gateway, session).await?;
        lists.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let before = memory(&gateway).await?;
    let mut streams = Vec::with_capacity(STREAMS);
    for session in sessions.iter().take(STREAMS) {
        streams.push(listen(&gateway, session).await?);
    }
    let with_streams = memory(&gateway).await?;
    drop(streams);

    let each = (many - few) / ((MANY - FEW) as f64 / 1_000.0);
    let stream = (with_streams - before) / (STREAMS as f64 / 1_000.0);
    let mib = |metric: &'static str, value, detail: String| {
        Record::new(BENCH, metric, value, "MiB", detail)
    };
    let opened = format!("opened in {:.1} s, one after the other", took.as_secs_f64());
    Ok(vec![
        mib(
            "gateway alone, idle",
            idle,
            "resident, before the first call".into(),
        )
        .at_most(IDLE),
        mib(
            "1,000 idle sessions",
            each,
            format!("{few:.1} with {FEW}, {many:.1} with {MANY}; {opened}"),
        )
        .at_most(SESSIONS),
        mib(
            "1,000 sessions with an open stream",
            each + stream,
            format!("{stream:.1} for the streams"),
        )
        .at_most(WITH_STREAMS),
        Record::new(
            BENCH,
            "list with 10,000 sessions",
            lists.median(),
            "ms",
            lists.spread(),
        ),
    ])
}

/// Resident memory, once what was only needed for a moment is given back; MiB.
async fn memory(part: &Part) -> anyhow::Result<f64> {
    tokio::time::sleep(REST).await;
    resident(part.pid()?)
}

async fn connect(part: &Part) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(part.place.authority()).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection.
    tokio::spawn(driver);
    Ok(connection)
}

/// Opens a session and gives its id.
async fn open(connection: &mut Connection, part: &Part) -> anyhow::Result<String> {
    let (head, _) = send(connection, request(part, None, &wire::initialize())?).await?;
    let session = head.headers.get("mcp-session-id").context("no session")?;
    let session = session.to_str()?.to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    send(connection, request(part, Some(&session), &ready)?).await?;
    list(connection, part, &session).await?;
    Ok(session)
}

async fn list(connection: &mut Connection, part: &Part, session: &str) -> anyhow::Result<()> {
    let asking = request(part, Some(session), &wire::list(Era::Session))?;
    let (_, body) = send(connection, asking).await?;
    let answer: Value = serde_json::from_slice(&body)?;
    let tools = answer["result"]["tools"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(tools == 2, "{tools} tools: {answer}");
    Ok(())
}

/// Opens a session's stream; it lives as long as what this gives.
async fn listen(part: &Part, session: &str) -> anyhow::Result<(Connection, Incoming)> {
    let mut connection = connect(part).await?;
    let mut request = request(part, Some(session), &Value::Null)?;
    *request.method_mut() = Method::GET;
    *request.body_mut() = Full::default();
    let answer = connection.send_request(request).await?;
    anyhow::ensure!(
        answer.status() == StatusCode::OK,
        "no stream: {}",
        answer.status()
    );
    Ok((connection, answer.into_body()))
}

fn request(
    part: &Part,
    session: Option<&str>,
    message: &Value,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let place = (part.place.authority(), part.place.path());
    wire::request(
        place,
        Era::Session,
        part.place.token.as_deref(),
        session,
        message,
    )
}

async fn send(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(http::response::Parts, Bytes)> {
    connection.ready().await?;
    let (head, body) = connection.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    anyhow::ensure!(
        head.status.is_success(),
        "{}: {}",
        head.status,
        String::from_utf8_lossy(&body)
    );
    Ok((head, body))
}
