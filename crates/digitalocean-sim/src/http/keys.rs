//! `/v2/account/keys`. Listing them has a rate limit of its own: see the entry.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, no_content, ok};
use super::body::NumberOrText;
use super::call::Call;
use super::render;
use crate::refusal::Refusal;
use crate::state::KeyRef;

#[derive(Deserialize)]
struct Create {
    name: String,
    public_key: String,
}

#[derive(Deserialize)]
struct Rename {
    name: String,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["ssh_key:read"])?;
    let state = call.state();
    let keys: Vec<_> = state.keys.all().collect();
    call.page("ssh_keys", &keys, |key| render::key(key))
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["ssh_key:create"])?;
    let wish: Create = call.body()?;
    let mut state = call.state();
    let key = state.keys.add(&wish.name, &wish.public_key)?;
    let body = json!({"ssh_key": render::key(key)});
    Ok(json_answer(StatusCode::CREATED, &body))
}

pub(super) async fn show(Path(key): Path<String>, call: Call) -> Handled {
    call.allow(&["ssh_key:read"])?;
    let state = call.state();
    let key = state
        .keys
        .find(&named(&key))
        .ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"ssh_key": render::key(key)})))
}

pub(super) async fn rename(Path(key): Path<String>, call: Call) -> Handled {
    call.allow(&["ssh_key:update"])?;
    let wish: Rename = call.body()?;
    let mut state = call.state();
    let key = state.keys.rename(&named(&key), &wish.name)?;
    Ok(ok(&json!({"ssh_key": render::key(key)})))
}

pub(super) async fn remove(Path(key): Path<String>, call: Call) -> Handled {
    call.allow(&["ssh_key:delete"])?;
    call.state().keys.remove(&named(&key))?;
    Ok(no_content())
}

fn named(text: &str) -> KeyRef {
    NumberOrText::from(text).into()
}
