//! From old rows to what has to be made. Pure, and always the same for the same rows: ids are taken
//! or computed from the old ones, so that a second import finds what the first one made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agentopia_api::legacy::{
    ImportProblem, ImportStep, ImportedAccount, ImportedAgent, ImportedInstance, ImportedLink,
    LegacyDroplet, LegacyImport, LegacyImportRequest, LegacyTool,
};
use agentopia_domain::catalog::{CatalogDefinition, CatalogEntry, Packaging};
use agentopia_domain::name::MAX_NAME_CHARS;
use agentopia_domain::resources::Resources;
use agentopia_domain::{AccountId, AgentId, CatalogEntryId, InstanceId, SecretId};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::known::{Belongings, Known};
use crate::http::v1::instances::check;

/// Words of the old `status` for what is not there any more.
const GONE: [&str; 7] = [
    "deleted",
    "deleting",
    "pending_deletion",
    "removed",
    "pending_removal",
    "uninstalled",
    "destroyed",
];
/// Words of the old `status` for tools that were not meant to run.
const STOPPED: [&str; 4] = ["stopped", "stopping", "inactive", "disabled"];

const TWICE: &str = "there is another row with this id, and that one counts: remove one of them";

/// What is to be done, and how the answer tells it.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) answer: LegacyImport,
    /// What making an instance needs besides.
    pub(super) makings: HashMap<InstanceId, Making>,
}

/// See [`Planned`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Making {
    pub(super) catalog_entry_id: CatalogEntryId,
    pub(super) config: Map<String, Value>,
    pub(super) secrets: BTreeMap<String, SecretId>,
    pub(super) resources: Resources,
    /// Whether agents can't share it: it keeps data.
    keeps_data: bool,
}

/// What to do about old rows.
pub(super) fn plan(request: &LegacyImportRequest, known: &Known) -> Planned {
    let mut planner = Planner {
        request,
        known,
        planned: Planned::default(),
    };
    let mut accounts: BTreeMap<AccountId, Vec<&LegacyDroplet>> = BTreeMap::new();
    let mut rows = BTreeSet::new();
    for droplet in &request.agent_droplets {
        if is(&droplet.status, &GONE) {
            continue;
        }
        if !rows.insert(&droplet.id) {
            planner.problem("agent_droplets", &droplet.id, TWICE.to_owned());
            continue;
        }
        planner.planned.answer.old_droplets.push(droplet.clone());
        match known.account(&droplet.user_id, &request.users) {
            Some(account) => accounts.entry(account).or_default().push(droplet),
            None => planner.problem(
                "agent_droplets",
                &droplet.id,
                format!(
                    "its user {} is unknown here: add them with `agentopia users create`, or name \
                     their e-mail with `--user {}=EMAIL`",
                    droplet.user_id, droplet.user_id
                ),
            ),
        }
    }
    for (account, droplets) in accounts {
        planner.account(account, &droplets);
    }
    let accounts = &mut planner.planned.answer.accounts;
    accounts.sort_by(|one, other| one.email.cmp(&other.email));
    planner.agents_of_two();
    let droplets: BTreeSet<_> = request.agent_droplets.iter().map(|it| &it.id).collect();
    for tool in &request.agent_droplet_tools {
        if !droplets.contains(&tool.agent_droplet_id) {
            let problem = format!("there is no droplet {}", tool.agent_droplet_id);
            planner.problem("agent_droplet_tools", &tool.id, problem);
        }
    }
    planner.planned
}

struct Planner<'a> {
    request: &'a LegacyImportRequest,
    known: &'a Known,
    planned: Planned,
}

impl Planner<'_> {
    fn problem(&mut self, table: &str, id: &str, problem: String) {
        self.planned.answer.problems.push(ImportProblem {
            table: table.to_owned(),
            id: id.to_owned(),
            problem,
        });
    }

    fn account(&mut self, account: AccountId, droplets: &[&LegacyDroplet]) {
        let (none, known) = (Belongings::default(), self.known);
        let own = known.accounts.get(&account).unwrap_or(&none);
        let mut users = known.users.iter();
        let email = users.find(|(id, _)| *id == account);
        let regions: BTreeSet<_> = droplets.iter().map(|it| it.region.clone()).collect();
        let mut imported = ImportedAccount {
            account_id: account,
            email: email.map(|(_, email)| email.clone()).unwrap_or_default(),
            environment: step(own.has_environment),
            region: match Vec::from_iter(regions).as_slice() {
                [region] => region.clone(),
                _ => None,
            },
            agents: Vec::new(),
            instances: Vec::new(),
            links: Vec::new(),
        };
        for droplet in droplets {
            let agent = AgentId::from(id_of("agent", &droplet.agent_id));
            match imported.agents.iter_mut().find(|it| it.id == agent) {
                Some(known) => known.rows.push(droplet.id.clone()),
                None => imported.agents.push(ImportedAgent {
                    id: agent,
                    name: match own.agents.get(&agent) {
                        Some(name) => name.clone(),
                        None => format!("agent-{agent}"),
                    },
                    rows: vec![droplet.id.clone()],
                    step: step(own.agents.contains_key(&agent)),
                }),
            }
            let request = self.request;
            let tools = request.agent_droplet_tools.iter();
            for tool in tools.filter(|tool| tool.agent_droplet_id == droplet.id) {
                if imported
                    .instances
                    .iter()
                    .any(|it| it.rows.contains(&tool.id))
                {
                    self.problem("agent_droplet_tools", &tool.id, TWICE.to_owned());
                    continue;
                }
                match self.tool(tool, own, &mut imported) {
                    Ok(Some(instance)) => link(own, &mut imported, agent, instance),
                    Ok(None) => {}
                    Err(problem) => self.problem("agent_droplet_tools", &tool.id, problem),
                }
            }
        }
        self.planned.answer.accounts.push(imported);
    }

    /// An agent has one owner: where the rows name two, neither gets it.
    fn agents_of_two(&mut self) {
        let mut owners: BTreeMap<AgentId, Vec<usize>> = BTreeMap::new();
        for (owner, account) in self.planned.answer.accounts.iter().enumerate() {
            for agent in &account.agents {
                owners.entry(agent.id).or_default().push(owner);
            }
        }
        for (agent, owners) in owners.into_iter().filter(|(_, owners)| owners.len() > 1) {
            for owner in owners {
                let account = &mut self.planned.answer.accounts[owner];
                let Some(index) = account.agents.iter().position(|it| it.id == agent) else {
                    continue;
                };
                if account.agents[index].step == ImportStep::Exists {
                    continue;
                }
                let rows = account.agents.remove(index).rows.join(", ");
                account.links.retain(|link| link.agent_id != agent);
                let problem = "its agent belongs to two users here: give the agent of one of them \
                               another id in the row";
                self.problem("agent_droplets", &rows, problem.to_owned());
            }
        }
    }

    /// The instance that stands for an old row. None for a row of something that is gone.
    fn tool(
        &mut self,
        tool: &LegacyTool,
        own: &Belongings,
        imported: &mut ImportedAccount,
    ) -> Result<Option<InstanceId>, String> {
        if is(&tool.status, &GONE) {
            return Ok(None);
        }
        let entry = self.entry(&tool.tool_catalog_id)?;
        let definition = &entry.definition;
        if definition.packaging.is_remote() {
            return Err(remote(definition));
        }
        let refused = |refusal: crate::problem::Refusal| refusal.detail().to_owned();
        let asked = tool.version.as_deref().filter(|it| !it.is_empty());
        let version = check::version(definition, asked).map_err(refused)?;
        let config = tool.config_details.clone().unwrap_or_default();
        check::config(definition, &config).map_err(refused)?;
        let making = Making {
            catalog_entry_id: entry.id,
            secrets: secrets(entry, own)?,
            resources: version.resources.unwrap_or(definition.resources),
            keeps_data: definition.volume.is_some(),
            config,
        };
        let running = !is(&tool.status, &STOPPED);
        // Agents of one user that had the same tool with the same settings share it from now on.
        let makings = &self.planned.makings;
        let same = imported.instances.iter_mut().find(|it| {
            !making.keeps_data
                && it.version == version.version
                && it.running == running
                && makings.get(&it.id) == Some(&making)
        });
        if let Some(same) = same {
            same.rows.push(tool.id.clone());
            return Ok(Some(same.id));
        }
        let id = InstanceId::from(id_of("tool", &tool.id));
        let there = own.instances.get(&id);
        let name = match there {
            Some(name) => name.clone(),
            None => free_name(&definition.slug, own, imported),
        };
        imported.instances.push(ImportedInstance {
            id,
            name,
            tool: definition.slug.clone(),
            version: version.version.clone(),
            running,
            rows: vec![tool.id.clone()],
            step: step(there.is_some()),
        });
        self.planned.makings.insert(id, making);
        Ok(Some(id))
    }

    fn entry(&self, old: &str) -> Result<&CatalogEntry, String> {
        let slug = self.request.tools.get(old).map_or(old, String::as_str);
        let mut entries = self.known.catalog.iter();
        entries
            .find(|it| it.definition.slug == slug || it.id.to_string() == slug)
            .ok_or_else(|| {
                format!(
                    "the catalog has no tool {slug}: add it with `agentopia catalog import`, or name \
                     what it is called here with `--tool {old}=SLUG`"
                )
            })
    }
}

/// Why a tool that ran on a droplet does not become a server that runs elsewhere: whoever deploys one says
/// where it is, and its address is looked at before anything is written (SEC-7).
fn remote(definition: &CatalogDefinition) -> String {
    let slug = &definition.slug;
    let address = match &definition.packaging {
        Packaging::Remote { url: Some(_), .. } => "",
        _ => " --url https://…",
    };
    format!(
        "`{slug}` runs elsewhere and was on no droplet: have the owner deploy it (`agentopia tools deploy \
         {slug}{address}`) and link the agent (`agentopia agents link`), or name the tool that was meant \
         with `--tool`"
    )
}

/// The values in the vault that a tool needs. The old model has none: what its owner set under the
/// name of the variable counts.
fn secrets(entry: &CatalogEntry, own: &Belongings) -> Result<BTreeMap<String, SecretId>, String> {
    let mut found = BTreeMap::new();
    for needed in &entry.definition.secrets {
        match own.secrets.get(&needed.name) {
            Some(id) => {
                found.insert(needed.name.clone(), *id);
            }
            None if needed.required => {
                return Err(format!(
                    "it needs the secret {}: have its owner set it (`agentopia secrets set {}`), \
                     then import again",
                    needed.name, needed.name
                ));
            }
            None => {}
        }
    }
    Ok(found)
}

fn link(own: &Belongings, imported: &mut ImportedAccount, agent: AgentId, instance: InstanceId) {
    let mut links = imported.links.iter();
    if links.any(|it| it.agent_id == agent && it.instance_id == instance) {
        return;
    }
    imported.links.push(ImportedLink {
        agent_id: agent,
        instance_id: instance,
        step: step(own.links.contains(&(agent, instance))),
    });
}

/// The slug, or the slug with a number.
fn free_name(slug: &str, own: &Belongings, imported: &ImportedAccount) -> String {
    let taken = |name: &String| {
        own.instances.values().any(|it| it == name)
            || imported.instances.iter().any(|it| it.name == *name)
    };
    let short: String = slug.chars().take(MAX_NAME_CHARS - 8).collect();
    let numbered = (2_u32..).map(|number| format!("{short}-{number}"));
    let mut names = std::iter::once(short.clone()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or(short)
}

const fn step(there: bool) -> ImportStep {
    match there {
        true => ImportStep::Exists,
        false => ImportStep::Create,
    }
}

fn is(status: &Option<String>, words: &[&str]) -> bool {
    let status = status.as_deref().unwrap_or_default().trim();
    words.iter().any(|word| status.eq_ignore_ascii_case(word))
}

/// The old id where it is a UUID, which other services go on using; otherwise one that is computed
/// from it (version 8, RFC 9562).
fn id_of(what: &str, old: &str) -> Uuid {
    old.parse().unwrap_or_else(|_| {
        let digest = Sha256::digest(format!("agentopia legacy {what} {old}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
