//! `GET /v1/instances/{id}/logs`: one JSON object a line, ending with the log or, when following,
//! with the instance.

use agentopia_domain::InstanceId;
use agentopia_dtma_api::to_dtma::LogLine;
use agentopia_dtma_api::to_dtma::LogQuery;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{StatusCode, header};
use serde::Deserialize;

use super::Api;
use super::instances::path_id;
use super::problem::Refusal;

/// The most lines of a tail.
const MOST_LINES: u32 = 10_000;
/// Lines if the caller does not say how many.
const SOME_LINES: u32 = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    tail: Option<u32>,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn handle(
    State(api): State<Api>,
    id: Result<Path<InstanceId>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let id = path_id(id)?;
    let Query(asked) = asked.map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text())
    })?;
    let shared = api.reconciler.shared();
    if shared.board.get(id).is_none() {
        return Err(Refusal::unknown_instance(id));
    }
    let query = LogQuery {
        tail: asked.tail.unwrap_or(SOME_LINES).min(MOST_LINES),
        follow: asked.follow,
    };
    let lines = shared.runtime.logs(id, query).await.map_err(|error| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code.as_str(),
            error.message,
        )
    })?;
    let shutdown = shared.shutdown.clone();
    let body = lines
        .take_until(async move { shutdown.cancelled().await })
        .map(|line| Ok::<_, std::convert::Infallible>(render(&line)));
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(body)).into_response())
}

fn render(line: &LogLine) -> Bytes {
    // A time, a word and a string: there is always a JSON form.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}
