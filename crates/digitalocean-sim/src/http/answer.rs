//! Answers: what every one of them carries, what refusals look like, and what faults answer.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::DurationRound as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::faults::{Answer, AnswerLost};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::Allowance;

/// The limit per minute is exceeded.
pub(super) const BURST: &str = "Too many requests";
/// The limit per hour is exceeded.
pub(super) const HOURLY: &str = "API Rate limit exceeded.";
/// Seconds that a simulated 429 of the minute tells to wait.
const BURST_WAIT: i64 = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What no answer has: it was lost.
const LOST: u16 = 599;

const GATEWAY_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>504 Gateway Time-out</title></head>\n\
    <body><center><h1>504 Gateway Time-out</h1></center></body></html>\n";

/// What a handler answers.
pub(super) type Handled = Result<Response, Refusal>;

/// JSON with a status.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// 200 with JSON.
pub(super) fn ok(body: &Value) -> Response {
    json_answer(StatusCode::OK, body)
}

/// 204. It has a content type, as the contract says of some, and no content.
pub(super) fn no_content() -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

pub(super) fn retry_after(answer: &mut Response, seconds: Option<i64>) {
    if let Some(seconds) = seconds {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
}

/// The body is rendered on the way out, where the request's id is known: see `Seal`.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = Response::new(Body::empty());
        let status = StatusCode::from_u16(self.kind.status());
        *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.extensions_mut().insert(self);
        answer
    }
}

/// What an answer gets on its way out.
pub(super) struct Seal {
    pub(super) request_id: Uuid,
    pub(super) allowance: Allowance,
}

impl Seal {
    /// Renders a refusal and adds the headers.
    pub(super) fn seal(&self, mut answer: Response, path: &str) -> Response {
        if let Some(refusal) = answer.extensions_mut().remove::<Refusal>() {
            let body = self.error_body(refusal.kind.id(), &refusal.message);
            *answer.body_mut() = Body::from(body_at(path, refusal.kind, body).to_string());
            answer.headers_mut().insert(CONTENT_TYPE, JSON);
        }
        self.add_headers(&mut answer, self.allowance.remaining);
        answer
    }

    /// What a fault answers.
    pub(super) fn fault(&self, answer: Answer) -> Response {
        match answer {
            Answer::TooManyBurst => {
                let mut answer = self.too_many(BURST, self.allowance.remaining);
                retry_after(&mut answer, Some(BURST_WAIT));
                answer
            }
            Answer::TooManyHourly => self.too_many(HOURLY, 0),
            Answer::ServerError => self.failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "Unexpected server-side error",
            ),
            Answer::BadGateway => {
                self.failure(StatusCode::BAD_GATEWAY, "bad_gateway", "Bad gateway")
            }
            Answer::Unavailable => self.failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "Server Temporarily Unavailable",
            ),
            Answer::GatewayTimeout => {
                let mut answer = Response::new(Body::from(GATEWAY_PAGE));
                *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                answer.headers_mut().insert(CONTENT_TYPE, HTML);
                answer
            }
            Answer::Closed => lost(AnswerLost::Closed),
            Answer::Silent => lost(AnswerLost::Silent),
        }
    }

    fn too_many(&self, message: &str, remaining: u32) -> Response {
        let body = self.error_body("too_many_requests", message);
        let mut answer = json_answer(StatusCode::TOO_MANY_REQUESTS, &body);
        self.add_headers(&mut answer, remaining);
        answer
    }

    fn failure(&self, status: StatusCode, id: &str, message: &str) -> Response {
        let mut answer = json_answer(status, &self.error_body(id, message));
        self.add_headers(&mut answer, self.allowance.remaining);
        answer
    }

    fn error_body(&self, id: &str, message: &str) -> Value {
        json!({"id": id, "message": message, "request_id": self.request_id.to_string()})
    }

    fn add_headers(&self, answer: &mut Response, remaining: u32) {
        // Rounded up: a client that comes back at the time told finds room.
        let reset = self.allowance.reset;
        let second = reset
            .duration_trunc(chrono::TimeDelta::seconds(1))
            .unwrap_or(reset);
        let reset = second.timestamp() + i64::from(second < reset);
        let headers = answer.headers_mut();
        headers.insert(LIMIT, self.allowance.limit.into());
        headers.insert(REMAINING, remaining.into());
        headers.insert(RESET, reset.into());
        if let Ok(id) = HeaderValue::from_str(&self.request_id.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
    }
}

/// The contract gives a bad request to `/v2/tags` another shape: such an answer has both.
fn body_at(path: &str, kind: RefusalKind, mut body: Value) -> Value {
    if kind == RefusalKind::BadRequest && path == "/v2/tags" {
        let message = body["message"].clone();
        body["error"] = message.clone();
        body["messages"] = json!([message]);
        body["root_causes"] = json!([]);
    }
    body
}

fn lost(how: AnswerLost) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::from_u16(LOST).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.extensions_mut().insert(how);
    answer
}
