//! Batches: JSON arrays of messages, which 2025-03-26 alone has. Each message is dealt with as if
//! it had come alone, all at the same time; the answers go back as one array.

use agentopia_mcp::{Envelope, Kind, Limits, ProtocolVersion, RpcError, SseParser, method};
use axum::response::Response;
use bytes::Bytes;
use futures::future::join_all;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

use super::{Busy, session};
use crate::edge::{Visit, answer};

/// The most messages in one batch.
const MOST: usize = 50;

pub(super) async fn post(visit: &Visit, body: &Bytes, limits: &Limits) -> Response {
    let refuse = |sentence: &str| answer::refused(StatusCode::BAD_REQUEST, sentence);
    let client = match session::find(visit) {
        Ok(client) => client,
        Err(refused) => return *refused,
    };
    if client.hello.version != ProtocolVersion::V2025_03_26 {
        return refuse("batches are a part of 2025-03-26 only; send one message at a time");
    }
    let spans = match agentopia_mcp::batch_elements(body, limits) {
        Ok(spans) if spans.len() <= MOST => spans,
        Ok(_) => return refuse("a batch has at most 50 messages"),
        Err(error) => return answer::problem(error.status(), &RpcError::from(&error)),
    };
    let mut messages = Vec::with_capacity(spans.len());
    for span in spans {
        match Envelope::scan(body.slice(span), limits) {
            Ok(message) if message.method() == method::INITIALIZE => {
                return refuse("initialize can't be part of a batch");
            }
            Ok(message) => messages.push(message),
            Err(error) => return answer::problem(error.status(), &RpcError::from(&error)),
        }
    }
    let _busy = Busy::new(&visit.core, &client);
    let wants_answer = messages.iter().any(|m| m.kind() == Kind::Request);
    let answers = messages.into_iter().map(|message| async {
        let is_request = message.kind() == Kind::Request;
        let response = session::handle(visit, &client, message).await;
        if is_request {
            final_message(response, limits).await
        } else {
            None
        }
    });
    let answers: Vec<_> = join_all(answers).await.into_iter().flatten().collect();
    if !wants_answer {
        return answer::accepted();
    }
    let mut out = vec![b'['];
    for (n, message) in answers.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(message);
    }
    out.push(b']');
    answer::json(StatusCode::OK, out)
}

/// The answer in a response, whatever form it has. What comes before it in a stream is left out:
/// there is no place for it in an array.
async fn final_message(response: Response, limits: &Limits) -> Option<Bytes> {
    let is_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|t| t == "text/event-stream");
    let body = response.into_body().collect().await.ok()?.to_bytes();
    if !is_stream {
        return (!body.is_empty()).then_some(body);
    }
    let mut events = Vec::new();
    SseParser::default().push(&body, &mut events).ok()?;
    events
        .iter()
        .filter_map(|event| event.message())
        .find_map(|message| {
            let scanned = Envelope::scan(&message[..], limits).ok()?;
            (!scanned.is_call()).then(|| message.clone())
        })
}
