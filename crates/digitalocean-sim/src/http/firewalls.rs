//! `/v2/firewalls`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Handled, json_answer, no_content, ok};
use super::call::{Call, id};
use super::render;
use crate::refusal::Refusal;
use crate::state::{DropletId, FirewallDraft, FirewallId, Protocol, RuleDraft, State, TargetDraft};

/// A firewall as it is sent. What is missing or null is empty.
#[derive(Deserialize)]
struct Body {
    name: String,
    inbound_rules: Option<Vec<Inbound>>,
    outbound_rules: Option<Vec<Outbound>>,
    droplet_ids: Option<Vec<DropletId>>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RulesBody {
    inbound_rules: Option<Vec<Inbound>>,
    outbound_rules: Option<Vec<Outbound>>,
}

#[derive(Deserialize)]
struct DropletsBody {
    droplet_ids: Vec<DropletId>,
}

#[derive(Deserialize)]
struct TagsBody {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Inbound {
    protocol: Protocol,
    ports: Option<String>,
    sources: Target,
}

#[derive(Deserialize)]
struct Outbound {
    protocol: Protocol,
    ports: Option<String>,
    destinations: Target,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    addresses: Vec<String>,
    droplet_ids: Vec<DropletId>,
    load_balancer_uids: Vec<String>,
    kubernetes_ids: Vec<String>,
    tags: Option<Vec<String>>,
}

pub(super) async fn list(call: Call) -> Handled {
    call.allow(&["firewall:read"])?;
    let state = call.state();
    let firewalls: Vec<_> = state.firewalls.all().collect();
    call.page("firewalls", &firewalls, |firewall| {
        render::firewall(firewall)
    })
}

pub(super) async fn create(call: Call) -> Handled {
    call.allow(&["firewall:create"])?;
    let draft = draft(call.body()?);
    let mut state = call.state();
    let firewall = state.create_firewall(call.now, &draft)?;
    shown(&state, firewall, StatusCode::ACCEPTED)
}

pub(super) async fn show(Path(firewall): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:read"])?;
    let firewall = id(&firewall, FirewallId)?;
    shown(&call.state(), firewall, StatusCode::OK)
}

pub(super) async fn replace(Path(firewall): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:update"])?;
    let firewall = id(&firewall, FirewallId)?;
    let draft = draft(call.body()?);
    let mut state = call.state();
    state.replace_firewall(call.now, firewall, &draft)?;
    shown(&state, firewall, StatusCode::OK)
}

pub(super) async fn remove(Path(firewall): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:delete"])?;
    let firewall = id(&firewall, FirewallId)?;
    call.state().delete_firewall(firewall)?;
    Ok(no_content())
}

pub(super) async fn add_droplets(Path(firewall): Path<String>, call: Call) -> Handled {
    assign_droplets(&firewall, &call, true)
}

pub(super) async fn remove_droplets(Path(firewall): Path<String>, call: Call) -> Handled {
    assign_droplets(&firewall, &call, false)
}

fn assign_droplets(firewall: &str, call: &Call, on: bool) -> Handled {
    call.allow(&["firewall:update"])?;
    let firewall = id(firewall, FirewallId)?;
    let body: DropletsBody = call.body()?;
    let mut state = call.state();
    state.assign_droplets(call.now, firewall, &body.droplet_ids, on)?;
    Ok(no_content())
}

pub(super) async fn add_tags(Path(firewall): Path<String>, call: Call) -> Handled {
    assign_tags(&firewall, &call, true)
}

pub(super) async fn remove_tags(Path(firewall): Path<String>, call: Call) -> Handled {
    assign_tags(&firewall, &call, false)
}

fn assign_tags(firewall: &str, call: &Call, on: bool) -> Handled {
    call.allow(&["firewall:update"])?;
    let firewall = id(firewall, FirewallId)?;
    let body: TagsBody = call.body()?;
    let tags = body.tags.unwrap_or_default();
    call.state().assign_tags(call.now, firewall, &tags, on)?;
    Ok(no_content())
}

pub(super) async fn add_rules(Path(firewall): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:update"])?;
    let firewall = id(&firewall, FirewallId)?;
    let (inbound, outbound) = rules(call.body()?)?;
    let mut state = call.state();
    state.add_rules(call.now, firewall, &inbound, &outbound)?;
    Ok(no_content())
}

pub(super) async fn remove_rules(Path(firewall): Path<String>, call: Call) -> Handled {
    call.allow(&["firewall:update"])?;
    let firewall = id(&firewall, FirewallId)?;
    let (inbound, outbound) = rules(call.body()?)?;
    let mut state = call.state();
    state.remove_rules(call.now, firewall, &inbound, &outbound)?;
    Ok(no_content())
}

fn shown(state: &State, firewall: FirewallId, status: StatusCode) -> Handled {
    let firewall = state
        .firewalls
        .get(firewall)
        .ok_or_else(Refusal::not_found)?;
    let body = json!({"firewall": render::firewall(firewall)});
    Ok(if status == StatusCode::OK {
        ok(&body)
    } else {
        json_answer(status, &body)
    })
}

fn draft(body: Body) -> FirewallDraft {
    FirewallDraft {
        name: body.name,
        inbound: drafts(body.inbound_rules),
        outbound: drafts(body.outbound_rules),
        droplets: body.droplet_ids.unwrap_or_default(),
        tags: body.tags.unwrap_or_default(),
    }
}

fn rules(body: RulesBody) -> Result<(Vec<RuleDraft>, Vec<RuleDraft>), Refusal> {
    let (inbound, outbound) = (drafts(body.inbound_rules), drafts(body.outbound_rules));
    if inbound.is_empty() && outbound.is_empty() {
        return Err(Refusal::unprocessable("must have at least one rule"));
    }
    Ok((inbound, outbound))
}

fn drafts<R: Into<RuleDraft>>(rules: Option<Vec<R>>) -> Vec<RuleDraft> {
    rules.into_iter().flatten().map(Into::into).collect()
}

impl From<Inbound> for RuleDraft {
    fn from(rule: Inbound) -> Self {
        Self {
            protocol: rule.protocol,
            ports: rule.ports,
            target: rule.sources.into(),
        }
    }
}

impl From<Outbound> for RuleDraft {
    fn from(rule: Outbound) -> Self {
        Self {
            protocol: rule.protocol,
            ports: rule.ports,
            target: rule.destinations.into(),
        }
    }
}

impl From<Target> for TargetDraft {
    fn from(target: Target) -> Self {
        Self {
            names_others: !target.load_balancer_uids.is_empty()
                || !target.kubernetes_ids.is_empty(),
            addresses: target.addresses,
            droplets: target.droplet_ids,
            tags: target.tags.unwrap_or_default(),
        }
    }
}
