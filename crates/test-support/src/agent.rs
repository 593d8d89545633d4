//! An AI agent of a test: its record, a token, and its MCP endpoint.

use agentopia_api::agent::Agent;
use agentopia_api::link::{Link, PutLinkRequest};
use agentopia_api::token::CreatedToken;
use agentopia_domain::{AgentId, ApiTokenId, InstanceId};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::api::Api;
use crate::mcp::{Called, ModernClient, SessionClient};

/// See the module's header.
#[derive(Debug, Clone)]
pub struct TestAgent {
    /// Its record.
    pub record: Agent,
    /// The id of its token.
    pub token_id: ApiTokenId,
    /// Its token.
    pub token: String,
    /// Its owner.
    pub owner: Api,
}

impl TestAgent {
    /// Makes an agent with a token and links to instances.
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn create(owner: &Api, name: &str, linked: &[InstanceId]) -> anyhow::Result<Self> {
        let record: Agent = owner
            .post("/api/v1/agents", &json!({ "name": name }))
            .await?;
        let path = format!("/api/v1/agents/{}/tokens", record.id);
        let created: CreatedToken = owner.post(&path, &json!({ "name": "tests" })).await?;
        let agent = Self {
            record,
            token_id: created.record.id,
            token: created.token.expose_secret().to_owned(),
            owner: owner.clone(),
        };
        for instance in linked {
            agent.link(*instance, true).await?;
        }
        Ok(agent)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> AgentId {
        self.record.id
    }

    /// Makes or changes a link.
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn link(&self, instance: InstanceId, enabled: bool) -> anyhow::Result<Link> {
        let request = PutLinkRequest {
            enabled,
            ..PutLinkRequest::default()
        };
        self.owner
            .put(
                &format!("/api/v1/agents/{}/links/{instance}", self.id()),
                &request,
            )
            .await
    }

    /// Makes a link, or changes it, that carries secrets of its own: for each variable, the name of a
    /// secret.
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn link_with(
        &self,
        instance: InstanceId,
        secrets: &[(&str, &str)],
    ) -> anyhow::Result<Link> {
        let secrets = secrets.iter();
        let named = secrets.map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned()));
        let request = PutLinkRequest {
            secrets: Some(named.collect()),
            ..PutLinkRequest::default()
        };
        let path = format!("/api/v1/agents/{}/links/{instance}", self.id());
        self.owner.put(&path, &request).await
    }

    /// Its endpoint at a replica.
    fn url(&self) -> String {
        agentopia_api::agent::mcp_url(self.owner.base_url(), self.id())
    }

    /// A stateless client of the modern era.
    ///
    /// # Errors
    /// Never in practice.
    pub fn modern(&self) -> anyhow::Result<ModernClient> {
        ModernClient::new(&self.url(), &self.token)
    }

    /// Opens a session (rmcp, the official Rust SDK).
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub async fn session(&self) -> anyhow::Result<SessionClient> {
        SessionClient::open(&self.url(), &self.token).await
    }

    /// The names of the tools that it sees.
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub async fn tools(&self) -> anyhow::Result<Vec<String>> {
        self.modern()?.tools().await
    }

    /// Calls a tool, statelessly.
    ///
    /// # Errors
    /// When the endpoint refuses or the protocol fails.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Called> {
        self.modern()?.call(tool, arguments).await
    }
}
