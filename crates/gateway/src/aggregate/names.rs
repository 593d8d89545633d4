//! What an agent's tools and prompts are called: an index of the names assigned so far, and the
//! assignment of new ones.
//!
//! The index is rebuilt from the route when that changes; a look-up is one hash. New names are
//! made by [`agentopia_mcp::names`], offered to the [`crate::NameBook`], and what the book answers
//! is what holds: two replicas that list at the same time end up with the same names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agentopia_domain::{AgentId, LinkId};
use agentopia_mcp::{Assignments, NewName, names::assign};
use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::core::Core;
use crate::names::{NameKind, NameMaps, book_key, read_book_key};
use crate::routes::AgentRoute;

/// How often a name is proposed anew when another replica took it.
const ATTEMPTS: usize = 3;

/// The names of one agent.
#[derive(Debug)]
pub(crate) struct Names {
    route: Arc<AgentRoute>,
    tools: OneKind,
    prompts: OneKind,
}

#[derive(Debug, Default)]
struct OneKind {
    assigned: Assignments,
    /// Exposed name to the link's place in the route and the server's own name.
    found: HashMap<Arc<str>, (usize, Arc<str>)>,
}

impl Names {
    fn kind(&self, kind: NameKind) -> &OneKind {
        match kind {
            NameKind::Tool => &self.tools,
            NameKind::Prompt => &self.prompts,
        }
    }

    /// The link (its place in the agent's list) and the server's own name behind an exposed name.
    pub(crate) fn find(&self, kind: NameKind, exposed: &str) -> Option<(usize, Arc<str>)> {
        self.kind(kind).found.get(exposed).cloned()
    }

    /// The exposed name of what the server of a link calls `own`.
    pub(crate) fn exposed(&self, kind: NameKind, link: usize, own: &str) -> Option<Arc<str>> {
        let link = self.route.links.get(link)?.id.to_string();
        self.kind(kind).assigned.exposed(&link, own).cloned()
    }

    fn of_route(route: Arc<AgentRoute>) -> Self {
        let maps = route
            .links
            .iter()
            .map(|l| (l.id, l.exposed_names.clone()))
            .collect();
        Self::of_maps(route, &maps)
    }

    /// From what is stored; of two that contradict each other the earlier link's counts.
    fn of_maps(route: Arc<AgentRoute>, maps: &NameMaps) -> Self {
        let (mut tools, mut prompts) = (Vec::new(), Vec::new());
        for link in &route.links {
            let upstream: Arc<str> = link.id.to_string().into();
            for (key, exposed) in maps.get(&link.id).into_iter().flatten() {
                let (kind, own) = read_book_key(key);
                let entry = (
                    Arc::from(exposed.as_str()),
                    upstream.clone(),
                    Arc::from(own),
                );
                match kind {
                    NameKind::Tool => tools.push(entry),
                    NameKind::Prompt => prompts.push(entry),
                }
            }
        }
        let tools = OneKind::new(&route, tools.into());
        let prompts = OneKind::new(&route, prompts.into());
        Self {
            route,
            tools,
            prompts,
        }
    }

    /// The same with other names of one kind.
    fn with(&self, kind: NameKind, assigned: Assignments) -> Self {
        let changed = OneKind::new(&self.route, assigned);
        let kept = |one: &OneKind| OneKind::new(&self.route, one.assigned.clone());
        let route = self.route.clone();
        match kind {
            NameKind::Tool => Self {
                route,
                tools: changed,
                prompts: kept(&self.prompts),
            },
            NameKind::Prompt => Self {
                route,
                tools: kept(&self.tools),
                prompts: changed,
            },
        }
    }
}

impl OneKind {
    fn new(route: &AgentRoute, assigned: Assignments) -> Self {
        let places: HashMap<String, usize> = route
            .links
            .iter()
            .enumerate()
            .map(|(at, link)| (link.id.to_string(), at))
            .collect();
        let found = assigned
            .iter()
            .filter_map(|(exposed, target)| {
                let place = *places.get(&*target.upstream)?;
                Some((exposed.clone(), (place, target.tool.clone())))
            })
            .collect();
        Self { assigned, found }
    }
}

#[derive(Debug)]
struct Table {
    current: ArcSwap<Names>,
    /// One assignment at a time; readers don't wait for it.
    assigning: tokio::sync::Mutex<()>,
}

/// The names of every agent that was asked for since the start.
#[derive(Debug, Default)]
pub(crate) struct NameTables(DashMap<AgentId, Arc<Table>>);

impl NameTables {
    pub(crate) fn forget(&self, agent: AgentId) {
        self.0.remove(&agent);
    }

    fn table(&self, route: &Arc<AgentRoute>) -> Arc<Table> {
        if let Some(table) = self.0.get(&route.id) {
            return table.clone();
        }
        let new = || Table {
            current: ArcSwap::from_pointee(Names::of_route(route.clone())),
            assigning: tokio::sync::Mutex::default(),
        };
        self.0
            .entry(route.id)
            .or_insert_with(|| Arc::new(new()))
            .clone()
    }

    /// The names as they are.
    pub(crate) fn current(&self, route: &Arc<AgentRoute>) -> Arc<Names> {
        current_of(&self.table(route), route)
    }
}

fn current_of(table: &Table, route: &Arc<AgentRoute>) -> Arc<Names> {
    let current = table.current.load_full();
    if Arc::ptr_eq(&current.route, route) {
        return current;
    }
    let rebuilt = Arc::new(Names::of_route(route.clone()));
    table.current.store(rebuilt.clone());
    rebuilt
}

/// Names for everything in `wanted` (link's place, server's own name), in the order of the links.
pub(crate) async fn names_for(
    core: &Core,
    route: &Arc<AgentRoute>,
    kind: NameKind,
    wanted: &[(usize, &str)],
) -> Arc<Names> {
    let table = core.names.table(route);
    let current = current_of(&table, route);
    if has_all(&current, kind, wanted) {
        return current;
    }
    let _one_at_a_time = table.assigning.lock().await;
    let mut names = current_of(&table, route);
    for _ in 0..ATTEMPTS {
        if has_all(&names, kind, wanted) {
            break;
        }
        let proposed = propose(core, &names, kind, wanted);
        let new = difference(&names, &proposed, kind, wanted);
        match core.name_book.assign(route.id, new).await {
            Ok(stored) => names = Arc::new(Names::of_maps(route.clone(), &stored)),
            Err(error) => {
                tracing::warn!(agent = %route.id, %error, "new tool names could not be stored");
                names = Arc::new(proposed);
            }
        }
    }
    if !has_all(&names, kind, wanted) {
        names = Arc::new(propose(core, &names, kind, wanted));
    }
    table.current.store(names.clone());
    names
}

/// See [`crate::Gateway::tool_names`].
pub(crate) async fn tool_names(
    core: &Core,
    agent: AgentId,
    tools: &[(LinkId, String)],
) -> BTreeMap<(LinkId, String), String> {
    let Some(route) = core.routes.load().agents.get(&agent).cloned() else {
        return BTreeMap::new();
    };
    let place = |link: &LinkId| route.links.iter().position(|known| known.id == *link);
    let mut placed: Vec<(usize, &(LinkId, String))> = tools
        .iter()
        .filter_map(|tool| Some((place(&tool.0)?, tool)))
        .collect();
    // The first link keeps a name that several have, so they go in the links' order.
    placed.sort_by_key(|(place, _)| *place);
    let wanted: Vec<(usize, &str)> = placed
        .iter()
        .map(|(place, (_, own))| (*place, own.as_str()))
        .collect();
    let names = names_for(core, &route, NameKind::Tool, &wanted).await;
    placed
        .into_iter()
        .filter_map(|(place, tool)| {
            let exposed = names.exposed(NameKind::Tool, place, &tool.1)?;
            Some((tool.clone(), exposed.to_string()))
        })
        .collect()
}

fn has_all(names: &Names, kind: NameKind, wanted: &[(usize, &str)]) -> bool {
    wanted
        .iter()
        .all(|(link, own)| names.exposed(kind, *link, own).is_some())
}

fn propose(core: &Core, names: &Names, kind: NameKind, wanted: &[(usize, &str)]) -> Names {
    let routes = core.routes.load();
    let ids: Vec<_> = names
        .route
        .links
        .iter()
        .map(|link| link.id.to_string())
        .collect();
    let new = wanted.iter().filter_map(|(link, own)| {
        let route = names.route.links.get(*link)?;
        let wanted = match kind {
            NameKind::Tool => route.policy.renamed_tools.get(*own).map(String::as_str),
            NameKind::Prompt => None,
        };
        Some(NewName {
            upstream: ids.get(*link)?,
            slug: routes
                .instances
                .get(&route.instance_id)
                .map_or("tool", |i| i.slug.as_str()),
            tool: own,
            wanted,
            always_prefix: route.policy.always_prefix,
        })
    });
    names.with(kind, assign(names.kind(kind).assigned.clone(), new))
}

/// What `after` has and `before` has not.
fn difference(before: &Names, after: &Names, kind: NameKind, wanted: &[(usize, &str)]) -> NameMaps {
    let mut new = NameMaps::new();
    for (link, own) in wanted {
        if before.exposed(kind, *link, own).is_none()
            && let Some(exposed) = after.exposed(kind, *link, own)
            && let Some(route) = after.route.links.get(*link)
        {
            let key = book_key(kind, own).into_owned();
            new.entry(route.id)
                .or_default()
                .insert(key, exposed.to_string());
        }
    }
    new
}
