//! How an agent's endpoint introduces itself: answers to `initialize` and `server/discover`.
//!
//! They are made without asking any server, so that a slow one delays nobody: what the gateway can
//! carry is declared, and what no server has is an empty list.

use std::borrow::Cow;

use agentopia_mcp::{Json, ObjectWriter, ProtocolVersion, jsonrpc};

use crate::clients::empty_object;
use crate::routes::AgentRoute;
use crate::search;

/// Who we are where no server speaks for itself.
pub(crate) fn own_info<'a>() -> Json<'a> {
    info(None)
}

/// Who an agent's endpoint is.
pub(crate) fn info(agent: Option<&AgentRoute>) -> Json<'static> {
    let mut info = ObjectWriter::new();
    info.text("name", "agentopia");
    if let Some(agent) = agent {
        info.text("title", &agent.name);
    }
    info.text("version", env!("CARGO_PKG_VERSION"));
    info.finish()
}

fn capabilities(session: bool) -> Json<'static> {
    let mut list_changed = ObjectWriter::new();
    list_changed.raw("listChanged", true);
    let list_changed = list_changed.finish();
    let mut resources = ObjectWriter::new();
    resources.raw("subscribe", true).raw("listChanged", true);
    let mut all = ObjectWriter::new();
    all.raw("tools", &list_changed)
        .raw("resources", resources.finish())
        .raw("prompts", &list_changed)
        .raw("completions", empty_object());
    if session {
        all.raw("logging", empty_object());
    }
    all.finish()
}

/// The result of `initialize`.
pub(crate) fn initialize(agent: &AgentRoute, version: ProtocolVersion) -> Json<'static> {
    let mut result = ObjectWriter::new();
    result
        .text("protocolVersion", version.as_str())
        .raw("capabilities", capabilities(true))
        .raw("serverInfo", info(Some(agent)));
    if let Some(instructions) = instructions(agent) {
        result.text("instructions", &instructions);
    }
    result.finish()
}

fn instructions(agent: &AgentRoute) -> Option<Cow<'_, str>> {
    let own = agent.description.as_str();
    match (own.is_empty(), agent.search) {
        (true, false) => None,
        (false, false) => Some(own.into()),
        (true, true) => Some(search::INSTRUCTIONS.into()),
        (false, true) => Some(format!("{own}\n\n{}", search::INSTRUCTIONS).into()),
    }
}

/// The result of `server/discover` (rule 2: modern whatever the servers are).
pub(crate) fn discover(agent: &AgentRoute) -> Json<'static> {
    let mut result = jsonrpc::modern_result("complete", &info(Some(agent)));
    add_versions(&mut result);
    result.raw("capabilities", capabilities(false));
    if let Some(instructions) = instructions(agent) {
        result.text("instructions", &instructions);
    }
    result.raw("ttlMs", 0).text("cacheScope", "private");
    result.finish()
}

/// `supportedVersions`: what this gateway serves on every endpoint.
pub(crate) fn add_versions(result: &mut ObjectWriter) {
    let served = ProtocolVersion::ALL
        .into_iter()
        .filter(|version| *version > ProtocolVersion::V2024_11_05)
        .map(ProtocolVersion::as_str)
        .collect::<Vec<_>>();
    // A list of strings is always JSON.
    if let Ok(served) = Json::of(&served) {
        result.raw("supportedVersions", served);
    }
}
