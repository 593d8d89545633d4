//! `/v2/droplets/…/actions`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, ok};
use super::call::{Call, id};
use super::droplets::tag_name;
use super::render;
use crate::refusal::Refusal;
use crate::state::{ActionId, ActionKind, BackupPolicy, DropletId, Request};

/// What can be done to all droplets with a tag.
const BY_TAG: [&str; 8] = [
    "power_cycle",
    "power_on",
    "power_off",
    "shutdown",
    "enable_ipv6",
    "enable_backups",
    "disable_backups",
    "snapshot",
];

#[derive(Deserialize)]
struct Act {
    r#type: String,
    size: Option<String>,
    disk: Option<bool>,
    name: Option<String>,
    backup_policy: Option<BackupPolicy>,
}

pub(super) async fn list(Path(droplet): Path<String>, call: Call) -> Handled {
    call.allow(&["droplet:read"])?;
    let droplet = id(&droplet, DropletId)?;
    let state = call.state();
    state.droplets.get(droplet).ok_or_else(Refusal::not_found)?;
    let actions: Vec<_> = state.actions.of(droplet).collect();
    call.page("actions", &actions, |action| render::action(action))
}

pub(super) async fn show(Path((droplet, action)): Path<(String, String)>, call: Call) -> Handled {
    call.allow(&["droplet:read"])?;
    let (droplet, action) = (id(&droplet, DropletId)?, id(&action, ActionId)?);
    let state = call.state();
    state.droplets.get(droplet).ok_or_else(Refusal::not_found)?;
    let action = state.actions.get(action);
    let action = action
        .filter(|action| action.droplet == droplet)
        .ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"action": render::action(action)})))
}

pub(super) async fn act(Path(droplet): Path<String>, call: Call) -> Handled {
    call.allow(&["droplet:update"])?;
    let droplet = id(&droplet, DropletId)?;
    let request = request(&call, call.body()?)?;
    let mut state = call.state();
    let action = state.act(call.now, droplet, &request)?;
    let action = state.actions.get(action).ok_or_else(Refusal::not_found)?;
    let body = json!({"action": render::action(action)});
    Ok(json_answer(StatusCode::CREATED, &body))
}

pub(super) async fn act_by_tag(call: Call) -> Handled {
    call.allow(&["droplet:update"])?;
    let tag = tag_name(&call)?;
    let body: Act = call.body()?;
    if !BY_TAG.contains(&body.r#type.as_str()) {
        return Err(unknown(&body.r#type));
    }
    let request = request(&call, body)?;
    let mut state = call.state();
    let begun = state.act_by_tag(call.now, tag, &request)?;
    let actions = begun.iter().filter_map(|action| state.actions.get(*action));
    let body = json!({"actions": actions.map(render::action).collect::<Vec<_>>()});
    Ok(json_answer(StatusCode::CREATED, &body))
}

/// What is asked for, if the token may ask for it.
fn request(call: &Call, body: Act) -> Result<Request, Refusal> {
    let policy = body.backup_policy.unwrap_or_default();
    let simple = |kind| Ok(Request::Simple(kind));
    match body.r#type.as_str() {
        "power_on" => simple(ActionKind::PowerOn),
        "power_off" => simple(ActionKind::PowerOff),
        "power_cycle" => simple(ActionKind::PowerCycle),
        "reboot" => simple(ActionKind::Reboot),
        "shutdown" => simple(ActionKind::Shutdown),
        "enable_ipv6" => simple(ActionKind::EnableIpv6),
        "enable_backups" => simple(ActionKind::EnableBackups(policy)),
        "disable_backups" => simple(ActionKind::DisableBackups),
        "change_backup_policy" => simple(ActionKind::ChangeBackupPolicy(policy)),
        "rename" => simple(ActionKind::Rename(body.name.unwrap_or_default())),
        "password_reset" => {
            call.allow(&["droplet:admin"])?;
            simple(ActionKind::PasswordReset)
        }
        "snapshot" => {
            call.allow(&["image:create"])?;
            simple(ActionKind::Snapshot(body.name))
        }
        "resize" => {
            call.allow(&["droplet:create"])?;
            Ok(Request::Resize {
                size: body.size,
                disk: body.disk == Some(true),
            })
        }
        "restore" => Ok(Request::Unsimulated("restore")),
        "rebuild" => Ok(Request::Unsimulated("rebuild")),
        "change_kernel" => Ok(Request::Unsimulated("change_kernel")),
        other => Err(unknown(other)),
    }
}

fn unknown(kind: &str) -> Refusal {
    Refusal::unprocessable(format!("{kind} is not a valid action type"))
}
