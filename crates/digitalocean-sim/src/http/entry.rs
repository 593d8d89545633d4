//! What every request passes: time, its id, faults, its token, rate limits, and the journal.
//!
//! Faults come first, as the gateways that cause most of them stand in front of everything else. One
//! that bites before the side effect keeps the request from the handlers; one that bites after it
//! hides their answer.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::answer::{self, Seal};
use crate::faults::{AnswerLost, RequestFault, SideEffect};
use crate::journal::{CreatedDroplet, JournalEntry, digest_body};
use crate::refusal::{Refusal, RefusalKind};
use crate::settings::{Scopes, find_token};
use crate::simulator::Simulator;
use crate::state::{Allowance, OverLimit};

/// Bytes of a body that are read at all.
const BODY: usize = 1024 * 1024;
/// What tokens that are none count for.
const NOBODY: &str = "";
/// What links begin with where a request does not say whom it called.
const STANDARD_URL: &str = "https://api.digitalocean.com";

/// What a handler needs to know of its request; an extension of it.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) now: DateTime<Utc>,
    pub(super) scopes: Scopes,
    pub(super) base_url: String,
    pub(super) body: Bytes,
}

/// Droplets that a handler has created; an extension of its answer, for the journal.
#[derive(Debug, Clone)]
pub(super) struct Created(pub(super) Vec<CreatedDroplet>);

/// What was found out about a request when it came in.
struct Arrival {
    now: DateTime<Utc>,
    request_id: Uuid,
    fault: Option<RequestFault>,
    token: Option<String>,
    allowance: Allowance,
    admission: Result<Scopes, Turned>,
    base_url: String,
}

/// Turned away before any handler.
struct Turned {
    refusal: Refusal,
    retry_after: Option<i64>,
}

pub(super) async fn enter(
    State(simulator): State<Simulator>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let read = axum::body::to_bytes(body, BODY).await;
    let now = simulator.now();
    simulator.tick_at(now).await;
    let arrival = arrive(&simulator, now, &parts, read.is_ok());
    let body = read.unwrap_or_default();
    let seal = Seal {
        request_id: arrival.request_id,
        allowance: arrival.allowance,
    };
    let mut entry = journal_entry(&arrival, &parts, &body);
    let answer = match arrival.fault {
        Some(RequestFault {
            answer,
            side_effect: SideEffect::Before,
        }) => seal.fault(answer),
        none_or_after => {
            let real = handle(&simulator, arrival, parts, body, next).await;
            let real = seal.seal(real, &entry.path);
            entry.real_status = Some(real.status().as_u16());
            entry.created = created(&real);
            match none_or_after {
                Some(fault) => seal.fault(fault.answer),
                None => real,
            }
        }
    };
    let lost = answer.extensions().get::<AnswerLost>().is_some();
    entry.status = (!lost).then(|| answer.status().as_u16());
    simulator.state().journal.write(entry);
    answer
}

/// What the API itself has to say.
async fn handle(
    simulator: &Simulator,
    arrival: Arrival,
    mut parts: Parts,
    body: Bytes,
    next: Next,
) -> Response {
    let scopes = match arrival.admission {
        Ok(scopes) => scopes,
        Err(turned) => {
            let mut answer = turned.refusal.into_response();
            answer::retry_after(&mut answer, turned.retry_after);
            return answer;
        }
    };
    parts.extensions.insert(Admitted {
        now: arrival.now,
        scopes,
        base_url: arrival.base_url,
        body,
    });
    let answer = next.run(Request::from_parts(parts, Body::empty())).await;
    simulator.drive().await;
    answer
}

fn created(answer: &Response) -> Vec<CreatedDroplet> {
    let created = answer.extensions().get::<Created>();
    created.map(|created| created.0.clone()).unwrap_or_default()
}

/// Looks at a request; `whole` says whether its body could be read.
fn arrive(simulator: &Simulator, now: DateTime<Utc>, parts: &Parts, whole: bool) -> Arrival {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let authorization = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let host = parts.headers.get(HOST).and_then(|v| v.to_str().ok());
    // HTTP/2 has it in the address instead.
    let host = host.or_else(|| parts.uri.authority().map(Authority::as_str));

    let mut guard = simulator.state();
    let state = &mut *guard;
    let request_id = state.dice.uuid();
    let fault = state.faults.of_request(method, path, &mut state.dice);
    let token = find_token(&state.tokens, authorization);
    let reached = fault.is_none_or(|fault| fault.side_effect == SideEffect::After);
    let (allowance, admission) = match token {
        Some(token) if reached => {
            let lists_keys = method == "GET" && path == "/v2/account/keys";
            let limits = state.settings.rate_limits;
            let (allowance, taken) = state.windows.take(&token.name, lists_keys, limits, now);
            let admission = match taken {
                Ok(()) if whole => Ok(token.scopes.clone()),
                Ok(()) => Err(too_large()),
                Err(over) => Err(too_many(over)),
            };
            (allowance, admission)
        }
        _ => {
            let caller = token.map_or(NOBODY, |token| token.name.as_str());
            let hourly = state.settings.rate_limits.hourly;
            let unauthorised = Turned {
                refusal: Refusal::unauthorised(),
                retry_after: None,
            };
            (state.windows.peek(caller, hourly, now), Err(unauthorised))
        }
    };
    let base_url = match (&state.settings.public_url, host) {
        (Some(url), _) => url.clone(),
        (None, Some(host)) => format!("http://{host}"),
        (None, None) => STANDARD_URL.to_owned(),
    };
    Arrival {
        now,
        request_id,
        fault,
        token: token.map(|token| token.name.clone()),
        allowance,
        admission,
        base_url,
    }
}

fn too_large() -> Turned {
    Turned {
        refusal: Refusal::new(RefusalKind::TooLarge, "The request body is too large"),
        retry_after: None,
    }
}

fn too_many(over: OverLimit) -> Turned {
    let (message, retry_after) = match over {
        OverLimit::Hourly => (answer::HOURLY, None),
        OverLimit::Burst(seconds) => (answer::BURST, Some(seconds)),
    };
    Turned {
        refusal: Refusal::new(RefusalKind::TooManyRequests, message),
        retry_after,
    }
}

fn journal_entry(arrival: &Arrival, parts: &Parts, body: &[u8]) -> JournalEntry {
    JournalEntry {
        number: 0,
        at: arrival.now,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        token: arrival.token.clone(),
        body: digest_body(body),
        request_id: arrival.request_id.to_string(),
        status: None,
        real_status: None,
        fault: arrival.fault,
        created: vec![],
    }
}
