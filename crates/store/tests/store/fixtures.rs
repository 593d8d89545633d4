//! Fixtures that read as sentences: an account, its environment, a catalog entry, an instance, …

use std::collections::BTreeMap;

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::agent::Agent;
use agentopia_domain::catalog::{
    CatalogDefinition, CatalogEntry, CatalogStatus, ConfigTemplate, Packaging, StdioProcesses,
    ToolVersion, Transport,
};
use agentopia_domain::environment::{Environment, ProviderKind};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::Instance;
use agentopia_domain::link::{Link, LinkPolicy};
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::secret::SecretRecord;
use agentopia_domain::token::{TokenHash, TokenKind, mint};
use agentopia_domain::user::Role;
use agentopia_domain::{AccountId, AgentId, CatalogEntryId, InstanceId, UserId};
use agentopia_store::{
    EventFilter, EventScope, NewAgent, NewEnvironment, NewInstance, NewLink, NewSecret, NewUser,
    StoreError,
};
use uuid::Uuid;

use crate::common::TestDb;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn no_limit(_: &Environment, _: &[Resources], _: Resources) -> Result<(), DoesNotFit> {
    Ok(())
}

pub(crate) fn event(account: AccountId, kind: &'static str) -> NewEvent {
    let object = (ObjectKind::Instance, account.as_uuid());
    NewEvent::system(account, kind, object, "it happened")
}

pub(crate) fn definition(slug: &str) -> CatalogDefinition {
    CatalogDefinition {
        slug: slug.into(),
        name: name(slug),
        registry_name: None,
        description: String::new(),
        developer_organisation: String::new(),
        categories: Vec::new(),
        icon: None,
        documentation_url: None,
        packaging: Packaging::DockerImage {
            image: "127.0.0.1:5000/agentopia/echo".into(),
        },
        transport: Transport::Stdio {
            processes: StdioProcesses::PerSession,
        },
        versions: vec![ToolVersion {
            version: "1.0.0".into(),
            tag: Some("1.0.0".into()),
            digest: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            process: Vec::new(),
            resources: None,
            transport: None,
            package: None,
        }],
        default_version: "1.0.0".into(),
        config: ConfigTemplate::default(),
        secrets: Vec::new(),
        resources: Resources::default(),
        volume: None,
        direct_access: None,
        egress: Default::default(),
        idle_seconds: None,
        status: CatalogStatus::Available,
    }
}

impl TestDb {
    pub(crate) fn id<I: From<Uuid>>(&self) -> I {
        self.ambient.new_id()
    }

    pub(crate) fn token(&self, kind: TokenKind) -> TokenHash {
        mint(kind, &self.ambient).hash
    }

    pub(crate) async fn account(&self, email: &str) -> AccountId {
        let id: UserId = self.id();
        let new = NewUser {
            id,
            email: email.into(),
            role: Role::User,
            password_hash: None,
        };
        self.store.users().create(new, &[]).await.unwrap();
        id.into()
    }

    pub(crate) fn new_environment(&self) -> NewEnvironment {
        NewEnvironment {
            id: self.id(),
            provider: ProviderKind::Local,
            region: None,
            size: None,
            image: None,
        }
    }

    pub(crate) async fn environment(&self, account: AccountId) -> Environment {
        let new = self.new_environment();
        let environments = self.store.environments();
        environments
            .get_or_create(account, new, &[])
            .await
            .unwrap()
            .value
    }

    pub(crate) async fn entry(&self, slug: &str) -> CatalogEntry {
        let id: CatalogEntryId = self.id();
        let catalog = self.store.catalog();
        let entry = catalog.upsert(id, &definition(slug), &[]).await;
        entry.unwrap().value
    }

    /// An instance that is not stored yet, in the account's environment.
    pub(crate) async fn new_instance(&self, account: AccountId, called: &str) -> NewInstance {
        NewInstance {
            id: self.id(),
            account_id: account,
            environment_id: self.environment(account).await.id,
            catalog_entry_id: self.entry("echo").await.id,
            name: name(called),
            version: "1.0.0".into(),
            config: serde_json::Map::new(),
            secrets: BTreeMap::new(),
            resources: Resources::default(),
            running: true,
            direct_access: None,
            egress: Default::default(),
            remote: None,
            idle: IdleSetting::Inherit,
        }
    }

    pub(crate) async fn instance(&self, account: AccountId, called: &str) -> Instance {
        let new = self.new_instance(account, called).await;
        let instances = self.store.instances();
        instances.create(new, no_limit, &[]).await.unwrap()
    }

    pub(crate) async fn agent(&self, account: AccountId, called: &str) -> Agent {
        let new = NewAgent {
            id: self.id(),
            account_id: account,
            name: name(called),
            description: "Does things.".into(),
            search_mode: false,
            calls_per_day: None,
        };
        self.store.agents().create(new, &[]).await.unwrap()
    }

    pub(crate) async fn link(
        &self,
        account: AccountId,
        agent: AgentId,
        instance: InstanceId,
    ) -> Result<Link, StoreError> {
        let new = NewLink {
            enabled: true,
            id: self.id(),
            account_id: account,
            agent_id: agent,
            instance_id: instance,
            policy: LinkPolicy::default(),
            secrets: BTreeMap::new(),
        };
        self.store.links().create(new, &[]).await
    }

    pub(crate) async fn secret(&self, account: AccountId, called: &str) -> SecretRecord {
        let new = NewSecret {
            id: self.id(),
            account_id: account,
            name: name(called),
            ciphertext: vec![0, 1, 254, 255],
        };
        self.store.secrets().create(new, &[]).await.unwrap()
    }

    /// The kinds of all events, the oldest first.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let events = self.store.events();
        let all = events
            .after(EventScope::Everything, &EventFilter::default(), 0, 1000)
            .await;
        all.unwrap().into_iter().map(|event| event.kind).collect()
    }
}

/// Asserts on the variant of an error, and shows what came instead.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(,)?) => {
        match $result {
            Err($pattern) => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;
