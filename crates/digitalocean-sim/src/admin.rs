//! The admin API: what a test sees and steers from outside. JSON, without a password: it is for a
//! loopback address.
//!
//! | call | what |
//! |---|---|
//! | `GET /clock` | `{now, stopped}` |
//! | `POST /clock/stop`, `POST /clock/start` | the clock stands still, or runs on |
//! | `POST /clock/advance` `{"by": "90s"}` | moves it forward, and lets happen what is due |
//! | `GET /faults`, `PUT /faults` | the whole plan, as in the TOML file |
//! | `POST /faults/request`, `POST /faults/resource` | one rule more |
//! | `DELETE /faults` | no faults |
//! | `GET /settings`, `PATCH /settings` | the account's settings; only what is named changes |
//! | `GET /tokens`, `PUT /tokens` | who may call, and with which scopes |
//! | `GET /droplets` | all droplets as they really are |
//! | `DELETE /droplets/{id}` | one is gone at once, behind everybody's back |
//! | `POST /droplets/{id}/lock`, `…/unlock`, `…/stop` | by an administrator, or from inside |
//! | `GET /journal?method=&path=&created_tag=&after=` | requests and their answers |
//! | `GET /creations` | droplets that were ever created, by tag: `{tag: {requests, droplets}}` |
//! | `POST /reset` `{"seed": 7}` | an empty account; without a seed, with the first one |
//!
//! What is wrong with a call is answered as 4xx with `{"error": "…"}`. `README.md` has examples.

mod droplets;
mod faults;
mod journal;
mod settings;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::clock::ClockReading;
use crate::simulator::Simulator;

/// The admin API.
pub fn admin_router(simulator: Simulator) -> Router {
    Router::new()
        .route("/clock", get(clock))
        .route("/clock/stop", post(stop_clock))
        .route("/clock/start", post(start_clock))
        .route("/clock/advance", post(advance_clock))
        .route(
            "/faults",
            get(faults::show).put(faults::replace).delete(faults::clear),
        )
        .route("/faults/request", post(faults::add_request))
        .route("/faults/resource", post(faults::add_resource))
        .route("/settings", get(settings::show).patch(settings::change))
        .route("/tokens", get(settings::tokens).put(settings::set_tokens))
        .route("/droplets", get(droplets::list))
        .route("/droplets/{droplet}", delete(droplets::destroy))
        .route("/droplets/{droplet}/lock", post(droplets::lock))
        .route("/droplets/{droplet}/unlock", post(droplets::unlock))
        .route("/droplets/{droplet}/stop", post(droplets::stop))
        .route("/journal", get(journal::read))
        .route("/creations", get(journal::creations))
        .route("/reset", post(reset))
        .with_state(simulator)
}

/// What is wrong with a call.
#[derive(Debug)]
struct AdminError(StatusCode, String);

impl AdminError {
    fn bad(message: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, message.to_string())
    }

    fn no_droplet() -> Self {
        Self(StatusCode::NOT_FOUND, "there is no such droplet".to_owned())
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

/// A body as JSON, whatever its content type: these calls are made by hand, too.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(AdminError::bad)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    by: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reset {
    seed: Option<u64>,
}

async fn clock(State(simulator): State<Simulator>) -> Json<ClockReading> {
    Json(simulator.clock().reading())
}

async fn stop_clock(State(simulator): State<Simulator>) -> Json<ClockReading> {
    simulator.clock().stop();
    Json(simulator.clock().reading())
}

async fn start_clock(State(simulator): State<Simulator>) -> Json<ClockReading> {
    simulator.clock().start();
    Json(simulator.clock().reading())
}

async fn advance_clock(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<ClockReading>, AdminError> {
    let advance: Advance = parse(&body)?;
    let by = humantime::parse_duration(&advance.by).map_err(AdminError::bad)?;
    simulator.clock().advance(by);
    simulator.tick().await;
    Ok(Json(simulator.clock().reading()))
}

async fn reset(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, AdminError> {
    let reset: Reset = if body.is_empty() {
        Reset::default()
    } else {
        parse(&body)?
    };
    simulator.reset(reset.seed).await;
    Ok(StatusCode::NO_CONTENT)
}
