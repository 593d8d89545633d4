//! Lists of all servers at once: everyone is asked at the same time and has until the deadline;
//! who does not answer is named in `_meta` and harms nobody else (rule 16).

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use agentopia_mcp::{
    Era, ErrorCode, Id, ListItem, ListKind, ListPage, ListResult, ObjectWriter,
    headers::misannotated, jsonrpc,
};
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;

use super::about;
use super::failures::with_failures;
use super::names::names_for;
use crate::clients::Client;
use crate::core::Core;
use crate::names::NameKind;
use crate::pins;
use crate::routes::{AgentRoute, InstanceRoute, Rest};
use crate::search;
use crate::sleepers::wakes;
use crate::upstream::live::Listed;
use crate::upstream::{Upstream, UpstreamError, call};

/// What one link's server answered.
pub(crate) struct Part {
    /// The link's place in the agent's list.
    pub(crate) link: usize,
    pub(super) route: Arc<InstanceRoute>,
    pub(crate) outcome: Result<Arc<Listed>, UpstreamError>,
    /// The tools that are not accepted yet.
    held: Option<Arc<HashSet<String>>>,
}

impl Part {
    /// Whether a tool is held back until its owner accepts it.
    fn holds(&self, tool: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(tool))
    }
}

/// Asks all servers of an agent.
pub(crate) async fn gather(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &AgentRoute,
    kind: ListKind,
) -> Vec<Part> {
    let routes = core.routes.load_full();
    let asking = agent
        .links
        .iter()
        .enumerate()
        .filter_map(|(link, link_route)| {
            // An instance that is gone takes its links with it; the next snapshot says so.
            let route = routes.instances.get(&link_route.instance_id)?.clone();
            let seen = routes.for_agent(agent.id, &route)?;
            Some(async move {
                let upstream = client.upstream(route.id);
                let is_first_contact = !upstream.is_live() && !core.breakers.doubts(&seen);
                let deadline = match is_first_contact {
                    true => core.config.first_contact_deadline,
                    false => core.config.fan_out_deadline,
                };
                let fetching = fetch(core, client, &upstream, &route, kind);
                let outcome = tokio::time::timeout(deadline, fetching)
                    .await
                    .unwrap_or(Err(UpstreamError::Timeout));
                let held = match (&outcome, kind) {
                    (Ok(listed), ListKind::Tools) => Some(pins::compare(core, &seen, listed)),
                    _ => None,
                };
                Part {
                    link,
                    route,
                    outcome,
                    held,
                }
            })
        });
    let parts = join_all(asking).await;
    if kind == ListKind::Resources {
        let lists = parts.iter().map(|part| {
            let listed = part.outcome.as_ref().ok();
            (part.route.id, listed.map(|listed| listed.keys()))
        });
        client.origins.lock().learn(lists, Instant::now());
    }
    parts
}

/// All pages of one server's list. One that sleeps is not woken for it, if it is known what it listed
/// last.
async fn fetch(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    route: &Arc<InstanceRoute>,
    kind: ListKind,
) -> Result<Arc<Listed>, UpstreamError> {
    let seen = match client.agent() {
        Some(agent) => core.routes.load().for_agent(agent, route),
        None => Some(route.clone()),
    };
    if !wakes::is_up(core, route)
        && let Some(seen) = seen
        && let Some(kept) = core.kept.get(&seen, client, kind)
    {
        return Ok(kept);
    }
    let live = upstream.live(core, client, route).await?;
    let keep = |listed: &Arc<Listed>| {
        if route.rest != Rest::Never {
            core.kept.keep(&live.route, client, kind, listed);
        }
    };
    if !live.offers(kind) {
        let nothing = Arc::new(Listed::new(
            core.shelf.place(route.id, kind, Vec::new()),
            None,
        ));
        keep(&nothing);
        return Ok(nothing);
    }
    if let Some(kept) = live.listed(kind) {
        return Ok(kept);
    }
    let changes = live.changes(kind);
    let mut items = Vec::new();
    let mut ttl_ms = None;
    let mut cursor: Option<String> = None;
    for _ in 0..core.config.max_list_pages {
        let params = cursor.as_ref().map(|cursor| {
            let mut params = ObjectWriter::new();
            params.text("cursor", cursor);
            params.finish()
        });
        let answer = call::ask(
            core,
            client,
            upstream,
            route,
            kind.method(),
            params.as_ref(),
        )
        .await;
        let page = match answer {
            Ok(response) => ListPage::read(kind, &response),
            // Declared and not there, such as templates: an empty list.
            Err(UpstreamError::Rpc(e)) if e.code == ErrorCode::METHOD_NOT_FOUND => break,
            Err(error) => return Err(error),
        };
        if page.unusable > 0 {
            tracing::debug!(instance = %route.id, count = page.unusable, "items without a key");
        }
        items.extend(page.items);
        ttl_ms = match (ttl_ms, page.ttl_ms) {
            (Some(a), Some(b)) => Some(u64::min(a, b)),
            (a, b) => a.or(b),
        };
        match page.next_cursor {
            // A server that sends us round in circles has said all it has to say.
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    if kind == ListKind::Tools && live.era == Era::Modern {
        items.retain(|item| is_usable(route, item));
    }
    let listed = Arc::new(Listed::new(core.shelf.place(route.id, kind, items), ttl_ms));
    keep(&listed);
    // The session may have been opened anew meanwhile: keep it with the one that is current.
    match upstream.current() {
        Some(now) if Arc::ptr_eq(&now, &live) => live.keep(kind, listed.clone(), changes),
        Some(now) => now.keep(kind, listed.clone(), now.changes(kind)),
        None => {}
    }
    Ok(listed)
}

/// The answer to a client's list request.
pub(crate) async fn answer(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    kind: ListKind,
    id: &Id,
) -> Bytes {
    if agent.search && kind == ListKind::Tools {
        return search::list(client.hello.era, agent, id);
    }
    let parts = gather(core, client, agent, kind).await;
    let name_kind = match kind {
        ListKind::Tools => Some(NameKind::Tool),
        ListKind::Prompts => Some(NameKind::Prompt),
        ListKind::Resources | ListKind::ResourceTemplates => None,
    };
    let items = shown(agent, kind, &parts);
    let mut result = match client.hello.era {
        Era::Session => ListResult::session(kind),
        Era::Modern => ListResult::modern(kind, &about::info(Some(agent)), ttl_of(&parts)),
    };
    match name_kind {
        Some(name_kind) => {
            let wanted: Vec<_> = items
                .iter()
                .map(|(link, item)| (*link, item.key()))
                .collect();
            let names = names_for(core, agent, name_kind, &wanted).await;
            for (link, item) in &items {
                if let Some(exposed) = names.exposed(name_kind, *link, item.key()) {
                    result.push(&item.renamed(&exposed));
                }
            }
        }
        None => {
            let mut seen = std::collections::HashSet::new();
            for (_, item) in &items {
                if seen.insert(item.key()) {
                    result.push(&item.raw());
                }
            }
        }
    }
    with_failures(jsonrpc::response(id, &result.finish(None)), &parts)
}

/// Asks all servers and gives what they have its names; says who answered what.
pub(super) async fn named(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    kind: NameKind,
) -> Vec<Part> {
    let list_kind = match kind {
        NameKind::Tool => ListKind::Tools,
        NameKind::Prompt => ListKind::Prompts,
    };
    let parts = gather(core, client, agent, list_kind).await;
    let items = shown(agent, list_kind, &parts);
    let wanted: Vec<_> = items
        .iter()
        .map(|(link, item)| (*link, item.key()))
        .collect();
    names_for(core, agent, kind, &wanted).await;
    parts
}

/// Looks at the tools that the agent may use, each with the name under which it sees it; and who failed.
pub(crate) async fn tools<R>(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    look: impl FnOnce(&[(Arc<str>, &ListItem)]) -> R,
) -> (R, Vec<Part>) {
    let parts = gather(core, client, agent, ListKind::Tools).await;
    let items = shown(agent, ListKind::Tools, &parts);
    let wanted: Vec<_> = items
        .iter()
        .map(|(link, item)| (*link, item.key()))
        .collect();
    let names = names_for(core, agent, NameKind::Tool, &wanted).await;
    let named = items.iter().filter_map(|(link, item)| {
        let name = names.exposed(NameKind::Tool, *link, item.key())?;
        Some((name, &**item))
    });
    let named: Vec<_> = named.collect();
    let seen = look(&named);
    (seen, parts)
}

/// What the agent may see, in the order of its links, described as they want it.
fn shown<'a>(
    agent: &AgentRoute,
    kind: ListKind,
    parts: &'a [Part],
) -> Vec<(usize, Cow<'a, ListItem>)> {
    let mut all = Vec::new();
    for part in parts {
        let policy = &agent.links[part.link].policy;
        for item in part.outcome.iter().flat_map(|listed| listed.items()) {
            if kind != ListKind::Tools {
                all.push((part.link, Cow::Borrowed(item)));
            } else if allows(policy, item.key()) && !part.holds(item.key()) {
                let item = match policy.described_tools.get(item.key()) {
                    Some(text) => Cow::Owned(item.described(text)),
                    None => Cow::Borrowed(item),
                };
                all.push((part.link, item));
            }
        }
    }
    all
}

/// Whether a link lets a tool through.
pub(crate) fn allows(policy: &agentopia_domain::link::LinkPolicy, own_name: &str) -> bool {
    policy
        .allowed_tools
        .as_ref()
        .is_none_or(|allowed| allowed.iter().any(|name| name == own_name))
}

/// The smallest of all (rule 19); 0 as soon as one server said nothing or failed.
fn ttl_of(parts: &[Part]) -> u64 {
    let ttl = |part: &Part| match &part.outcome {
        // It has nothing of the kind, so nothing of it gets old.
        Ok(listed) if listed.items().is_empty() && listed.ttl_ms.is_none() => u64::MAX,
        Ok(listed) => listed.ttl_ms.unwrap_or(0),
        Err(_) => 0,
    };
    match parts.iter().map(ttl).min() {
        None | Some(u64::MAX) => 0,
        Some(ttl) => ttl,
    }
}

/// A modern client has to leave out tools whose headers can't be made (SEP-2243).
fn is_usable(route: &InstanceRoute, tool: &ListItem) -> bool {
    let wrong = tool.get("inputSchema").as_ref().and_then(misannotated);
    if let Some(wrong) = &wrong {
        tracing::warn!(instance = %route.id, tool = tool.key(), %wrong, "a tool is left out");
    }
    wrong.is_none()
}
