//! Settings and tokens.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde_json::Value;

use super::{AdminError, parse};
use crate::settings::{Settings, Token};
use crate::simulator::Simulator;

pub(super) async fn show(State(simulator): State<Simulator>) -> Json<Settings> {
    Json(simulator.settings())
}

pub(super) async fn change(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<Settings>, AdminError> {
    let change: Value = parse(&body)?;
    let mut settings = serde_json::to_value(simulator.settings()).map_err(AdminError::bad)?;
    merge(&mut settings, change);
    simulator.set_settings(serde_json::from_value(settings).map_err(AdminError::bad)?);
    Ok(Json(simulator.settings()))
}

/// Tokens by name and scopes; their secrets are not shown.
pub(super) async fn tokens(State(simulator): State<Simulator>) -> Json<Vec<Token>> {
    Json(simulator.tokens())
}

pub(super) async fn set_tokens(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<Vec<Token>>, AdminError> {
    simulator.set_tokens(parse(&body)?);
    Ok(Json(simulator.tokens()))
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}
