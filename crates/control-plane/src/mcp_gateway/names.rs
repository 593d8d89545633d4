//! Exposed names are kept in the links, so that they outlive restarts and are the same on every
//! replica.

use std::collections::{BTreeMap, HashSet};

use agentopia_domain::{AgentId, LinkId};
use agentopia_gateway::{NameBook, NameMaps, read_book_key};
use agentopia_store::{Store, StoreError};
use async_trait::async_trait;

use crate::reconcilers::routes::RoutesBell;

/// See the module's header.
#[derive(Debug)]
pub struct StoredNames {
    /// Where links are kept.
    pub store: Store,
    /// The route table carries the names.
    pub routes: RoutesBell,
}

#[async_trait]
impl NameBook for StoredNames {
    async fn assign(&self, agent: AgentId, new: NameMaps) -> Result<NameMaps, String> {
        let outcome = self
            .merge(agent, new)
            .await
            .map_err(|error| error.to_string());
        self.routes.ring();
        outcome
    }
}

impl StoredNames {
    async fn merge(&self, agent: AgentId, new: NameMaps) -> Result<NameMaps, StoreError> {
        let links = self.store.links();
        let mut known = links.exposed_names_unscoped(agent).await?;
        for (link, names) in new {
            let Some(before) = known.get(&link) else {
                continue;
            };
            let additions = free(&known, link, before, names);
            if additions.is_empty() {
                continue;
            }
            match links.merge_exposed_names_unscoped(link, &additions).await {
                Ok(merged) => {
                    known.insert(link, merged);
                }
                Err(StoreError::NotFound { .. }) => {
                    known.remove(&link);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }
}

/// What of `names` no link of the agent has given to something else. Pure.
fn free(
    known: &NameMaps,
    link: LinkId,
    before: &BTreeMap<String, String>,
    names: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let taken: HashSet<_> = known
        .iter()
        .flat_map(|(owner, map)| map.iter().map(move |entry| (owner, entry)))
        .filter(|(owner, _)| **owner != link)
        .map(|(_, (key, exposed))| (read_book_key(key).0, exposed.as_str()))
        .collect();
    names
        .into_iter()
        .filter(|(key, exposed)| {
            !before.contains_key(key) && !taken.contains(&(read_book_key(key).0, exposed.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentopia_domain::Ambient;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, name)| ((*key).to_owned(), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn a_name_that_another_link_has_is_not_given_away() {
        let ambient = Ambient::system();
        let (first, second): (LinkId, LinkId) = (ambient.new_id(), ambient.new_id());
        let known = NameMaps::from([(first, map(&[("echo", "echo")])), (second, map(&[]))]);
        let wanted = map(&[("echo", "echo"), ("add", "add"), ("prompt:echo", "echo")]);
        let given = free(&known, second, &known[&second], wanted);
        assert_eq!(given, map(&[("add", "add"), ("prompt:echo", "echo")]));
    }

    #[test]
    fn a_key_keeps_the_name_that_it_has() {
        let link: LinkId = Ambient::system().new_id();
        let known = NameMaps::from([(link, map(&[("echo", "echo")]))]);
        assert!(free(&known, link, &known[&link], map(&[("echo", "other")])).is_empty());
    }
}
