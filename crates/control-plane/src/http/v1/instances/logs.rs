//! `GET /api/v1/instances/{id}/logs`: the log of an instance, straight from its machine.

use agentopia_api::Problem;
use agentopia_api::instance::{LogLine, LogStream, LogsQuery};
use agentopia_domain::InstanceId;
use agentopia_dtma_api::to_dtma;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header;

use crate::http::extract::{Call, Params, PathId};
use crate::problem::{Answer, Refusal, kind};
use crate::state::MachineError;

const DEFAULT_TAIL: u32 = 200;
const MAX_TAIL: u32 = 10_000;

/// The log of an instance, one JSON object a line (`application/x-ndjson`), oldest first; with
/// `follow` it goes on as lines come. A last line with the stream `error` says why it ended early.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}/logs",
    operation_id = "instance_logs",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance"), LogsQuery),
    responses(
        (status = 200, description = "Lines", body = LogLine, content_type = "application/x-ndjson"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "unreachable, upstream_error", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Params(query): Params<LogsQuery>,
) -> Answer<impl IntoResponse> {
    let tail = query.tail.unwrap_or(DEFAULT_TAIL);
    if tail > MAX_TAIL {
        return Err(Refusal::new(
            kind::INVALID_QUERY,
            format!("`tail` must be at most {MAX_TAIL}"),
        ));
    }
    let instance = call.store().instances().get(call.account(), id).await?;
    if let Some(remote) = &instance.remote {
        return Err(Refusal::new(
            kind::WRONG_STATE,
            format!(
                "a remote server keeps its own log; ask whoever runs {}",
                remote.url.host_str().unwrap_or("it")
            ),
        ));
    }
    let asked = to_dtma::LogQuery {
        tail,
        follow: query.follow,
    };
    let lines = call.state.machines.logs(&instance, asked).await?;
    let lines = lines
        .map(|item| match item {
            Ok(line) => from_machine(line),
            Err(error) => LogLine {
                at: None,
                stream: LogStream::Error,
                line: error.to_string(),
            },
        })
        .map(|line| {
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            Ok::<_, serde_json::Error>(Bytes::from(bytes))
        })
        .take_until(call.state.shutdown.clone().cancelled_owned());
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    ))
}

fn from_machine(line: to_dtma::LogLine) -> LogLine {
    LogLine {
        at: line.at,
        stream: match line.stream {
            to_dtma::LogStream::Stdout => LogStream::Stdout,
            to_dtma::LogStream::Stderr => LogStream::Stderr,
        },
        line: line.line,
    }
}

impl From<MachineError> for Refusal {
    fn from(error: MachineError) -> Self {
        let said = error.to_string();
        let kind = match error {
            MachineError::NoMachine => kind::WRONG_STATE,
            MachineError::UnknownInstance => kind::NOT_RUNNING,
            MachineError::Unreachable(_) => kind::UNREACHABLE,
            MachineError::Refused(_) => kind::UPSTREAM,
        };
        Self::new(kind, said)
    }
}
