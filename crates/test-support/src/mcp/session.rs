//! A client of the session era: rmcp, the official Rust SDK, as any user of it would use it.

use std::time::Duration;

use anyhow::Context as _;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;

use super::Called;

/// No answer of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An open session.
#[derive(Debug)]
pub struct SessionClient {
    session: RunningService<RoleClient, ClientConfig>,
}

impl SessionClient {
    /// Opens one.
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub async fn open(url: &str, token: &str) -> anyhow::Result<Self> {
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
        let http = crate::api::http_client()?;
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let info = ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("agentopia-tests", "1"),
        );
        let session = tokio::time::timeout(LIMIT, info.serve(transport))
            .await
            .context("no session was opened in time")??;
        Ok(Self { session })
    }

    /// The tools' names.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn tools(&self) -> anyhow::Result<Vec<String>> {
        let tools = tokio::time::timeout(LIMIT, self.session.list_all_tools()).await??;
        Ok(tools
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect())
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Called> {
        let Value::Object(arguments) = arguments else {
            anyhow::bail!("arguments are an object")
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = tokio::time::timeout(LIMIT, self.session.call_tool(params)).await??;
        Ok(Called(serde_json::to_value(result)?))
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn close(self) -> anyhow::Result<()> {
        self.session.cancel().await?;
        Ok(())
    }
}
