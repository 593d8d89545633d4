//! `/v2/account`.

use serde_json::json;

use super::answer::{Handled, ok};
use super::call::Call;
use crate::settings::AccountStatus;

pub(super) async fn show(call: Call) -> Handled {
    call.allow(&["account:read"])?;
    let state = call.state();
    let (status, message) = match state.settings.account_status {
        AccountStatus::Active => ("active", ""),
        AccountStatus::Warning => ("warning", "Please add a payment method."),
        AccountStatus::Locked => ("locked", "Your account is locked."),
    };
    Ok(ok(&json!({"account": {
        "droplet_limit": state.settings.droplet_limit,
        "floating_ip_limit": 5,
        "email": "owner@example.com",
        "name": "Owner",
        "uuid": state.account.uuid.to_string(),
        "email_verified": true,
        "status": status,
        "status_message": message,
        "team": {"uuid": state.account.team.to_string(), "name": "My Team"},
    }})))
}
