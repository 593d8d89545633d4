//! Agents, their links and tokens.

use agentopia_api::agent::{Agent, CreateAgentRequest, UpdateAgentRequest};
use agentopia_api::client_config::{Client as McpClient, ClientConfig};
use agentopia_api::discovery::Discovery;
use agentopia_api::grant::Grant;
use agentopia_api::link::{Link, PutLinkRequest};
use agentopia_api::token::{CreateAgentTokenRequest, CreatedToken, Token};
use agentopia_domain::{AgentId, ApiTokenId, GrantId, InstanceId};
use reqwest::Method;

use super::{Client, ClientError};
use crate::values::word;

impl Client {
    /// The account's agents.
    pub(crate) async fn agents(&self) -> Result<Vec<Agent>, ClientError> {
        self.list(&["agents"], &[], None).await
    }

    /// One agent.
    pub(crate) async fn agent(&self, id: AgentId) -> Result<Agent, ClientError> {
        self.get(&["agents", &id.to_string()], &[]).await
    }

    /// Makes one.
    pub(crate) async fn create_agent(
        &self,
        request: &CreateAgentRequest,
    ) -> Result<Agent, ClientError> {
        self.change(Method::POST, &["agents"], request).await
    }

    /// Changes one.
    pub(crate) async fn update_agent(
        &self,
        id: AgentId,
        request: &UpdateAgentRequest,
    ) -> Result<Agent, ClientError> {
        self.change(Method::PATCH, &["agents", &id.to_string()], request)
            .await
    }

    /// Takes one away, with its tokens and links.
    pub(crate) async fn remove_agent(&self, id: AgentId) -> Result<(), ClientError> {
        self.delete(&["agents", &id.to_string()]).await
    }

    /// How to connect an MCP client.
    pub(crate) async fn agent_config(
        &self,
        id: AgentId,
        client: McpClient,
    ) -> Result<ClientConfig, ClientError> {
        let query = [("client", word(&client))];
        self.get(&["agents", &id.to_string(), "config"], &query)
            .await
    }

    /// What it can use right now.
    pub(crate) async fn discovery(&self, id: AgentId) -> Result<Discovery, ClientError> {
        self.get(&["agents", &id.to_string(), "discovery"], &[])
            .await
    }

    /// Its links.
    pub(crate) async fn links(&self, id: AgentId) -> Result<Vec<Link>, ClientError> {
        self.list(&["agents", &id.to_string(), "links"], &[], None)
            .await
    }

    /// Makes or changes a link.
    pub(crate) async fn put_link(
        &self,
        agent: AgentId,
        instance: InstanceId,
        request: &PutLinkRequest,
    ) -> Result<Link, ClientError> {
        let path = ["agents", &agent.to_string(), "links", &instance.to_string()];
        self.change(Method::PUT, &path, request).await
    }

    /// Takes a link away.
    pub(crate) async fn remove_link(
        &self,
        agent: AgentId,
        instance: InstanceId,
    ) -> Result<(), ClientError> {
        let path = ["agents", &agent.to_string(), "links", &instance.to_string()];
        self.delete(&path).await
    }

    /// Its tokens, revoked ones too.
    pub(crate) async fn agent_tokens(&self, id: AgentId) -> Result<Vec<Token>, ClientError> {
        self.list(&["agents", &id.to_string(), "tokens"], &[], None)
            .await
    }

    /// Makes a token for it.
    pub(crate) async fn create_agent_token(
        &self,
        id: AgentId,
        request: &CreateAgentTokenRequest,
    ) -> Result<CreatedToken, ClientError> {
        self.change(
            Method::POST,
            &["agents", &id.to_string(), "tokens"],
            request,
        )
        .await
    }

    /// The programs that were let in by browser login.
    pub(crate) async fn agent_grants(&self, id: AgentId) -> Result<Vec<Grant>, ClientError> {
        self.list(&["agents", &id.to_string(), "grants"], &[], None)
            .await
    }

    /// Shuts one out.
    pub(crate) async fn revoke_grant(&self, id: GrantId) -> Result<(), ClientError> {
        self.delete(&["grants", &id.to_string()]).await
    }

    /// Takes one of its tokens back.
    pub(crate) async fn revoke_agent_token(
        &self,
        agent: AgentId,
        token: ApiTokenId,
    ) -> Result<(), ClientError> {
        self.delete(&["agents", &agent.to_string(), "tokens", &token.to_string()])
            .await
    }
}
