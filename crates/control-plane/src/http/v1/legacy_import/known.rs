//! What there is already: users, the catalog, and what the users concerned have.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use agentopia_api::legacy::LegacyImportRequest;
use agentopia_domain::catalog::CatalogEntry;
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::{AccountId, AgentId, InstanceId, SecretId};
use agentopia_store::{CatalogFilter, InstanceFilter, LinkFilter, StoreError};

use crate::http::extract::Call;

/// Every item of a list, page by page: `all!(page => list.page(page))`. A macro, because futures of
/// async closures over references are not `Send` for every lifetime, as handlers have to be.
macro_rules! all {
    ($page:ident => $list:expr) => {{
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let $page = PageRequest {
                after,
                limit: MAX_LIMIT,
            };
            let found = $list.await?;
            items.extend(found.items);
            after = found.next;
            if after.is_none() {
                break items;
            }
        }
    }};
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Every user: account and e-mail.
    pub(super) users: Vec<(AccountId, String)>,
    pub(super) catalog: Vec<CatalogEntry>,
    /// What the users concerned have.
    pub(super) accounts: HashMap<AccountId, Belongings>,
}

/// What one user has.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    pub(super) has_environment: bool,
    pub(super) agents: BTreeMap<AgentId, String>,
    /// Removed ones too: what somebody removed after an import does not come back.
    pub(super) instances: BTreeMap<InstanceId, String>,
    pub(super) links: BTreeSet<(AgentId, InstanceId)>,
    pub(super) secrets: BTreeMap<String, SecretId>,
}

impl Known {
    pub(super) async fn read(
        call: &Call,
        request: &LegacyImportRequest,
    ) -> Result<Self, StoreError> {
        let store = call.store();
        let filter = CatalogFilter::default();
        let users = all!(page => store.users().list(page));
        let catalog = all!(page => store.catalog().list(&filter, page));
        let mut known = Self {
            users: users
                .into_iter()
                .map(|user| (AccountId::from(user.id), user.email))
                .collect(),
            catalog,
            accounts: HashMap::new(),
        };
        for droplet in &request.agent_droplets {
            let Some(account) = known.account(&droplet.user_id, &request.users) else {
                continue;
            };
            if let Entry::Vacant(missing) = known.accounts.entry(account) {
                missing.insert(Belongings::read(call, account).await?);
            }
        }
        Ok(known)
    }

    /// The account of an old user id: by the e-mail that the operator named, by the id, or because
    /// the old id is an e-mail.
    pub(super) fn account(
        &self,
        user: &str,
        named: &BTreeMap<String, String>,
    ) -> Option<AccountId> {
        let email = named.get(user).map_or(user, String::as_str);
        let mut users = self.users.iter();
        let by = |(account, own): &&(AccountId, String)| {
            own.eq_ignore_ascii_case(email) || account.to_string().eq_ignore_ascii_case(email)
        };
        users.find(by).map(|(account, _)| *account)
    }
}

impl Belongings {
    async fn read(call: &Call, account: AccountId) -> Result<Self, StoreError> {
        let store = call.store();
        let everything = InstanceFilter {
            with_removed: true,
            ..InstanceFilter::default()
        };
        let agents = all!(page => store.agents().list(account, page));
        let instances = all!(page => store.instances().list(account, &everything, page));
        let links = all!(page => store.links().list(account, LinkFilter::default(), page));
        let secrets = all!(page => store.secrets().list(account, page));
        Ok(Self {
            has_environment: store.environments().find(account).await?.is_some(),
            agents: agents
                .into_iter()
                .map(|agent| (agent.id, agent.name.to_string()))
                .collect(),
            instances: instances
                .into_iter()
                .map(|instance| (instance.id, instance.name.to_string()))
                .collect(),
            links: links
                .into_iter()
                .map(|link| (link.agent_id, link.instance_id))
                .collect(),
            secrets: secrets
                .into_iter()
                .map(|secret| (secret.name.to_string(), secret.id))
                .collect(),
        })
    }
}
