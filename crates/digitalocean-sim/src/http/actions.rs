//! `/v2/actions`: of droplets that are gone, too.

use axum::extract::Path;
use serde_json::json;

use super::answer::{Handled, ok};
use super::call::{Call, id};
use super::render;
use crate::refusal::Refusal;
use crate::state::ActionId;

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["actions:read"])?;
    let state = call.state();
    let actions: Vec<_> = state.actions.all().collect();
    call.page("actions", &actions, |action| render::action(action))
}

pub(super) async fn show(Path(action): Path<String>, call: Call) -> Handled {
    call.allow(&["actions:read"])?;
    let action = id(&action, ActionId)?;
    let state = call.state();
    let action = state.actions.get(action).ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"action": render::action(action)})))
}
