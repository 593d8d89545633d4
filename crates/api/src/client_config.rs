//! Ready-made configuration for MCP clients (AGT-9). A token is never part of it: where one
//! belongs, it has [`TOKEN_PLACEHOLDER`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Stands where the agent's token belongs.
pub const TOKEN_PLACEHOLDER: &str = "YOUR_AGENT_TOKEN";

/// A client that we know how to configure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// Claude Code and Claude Desktop.
    Claude,
    /// Visual Studio Code.
    Vscode,
    /// Cursor.
    Cursor,
    /// Anything that reads `mcpServers`.
    #[default]
    Json,
}

/// For which client.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams,
)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClientConfigQuery {
    /// The client; plain JSON unless given.
    #[serde(default)]
    #[param(inline)]
    pub client: Client,
}

/// How to configure a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClientConfig {
    /// For which client.
    pub client: Client,
    /// Where the configuration goes: a file, or what to do with it.
    pub destination: String,
    /// The configuration, to be put there.
    pub config: Value,
    /// A command that does the same, where the client has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What has to be replaced by a token of the agent.
    pub token_placeholder: String,
}

impl ClientConfig {
    /// The configuration of `client` for the endpoint `mcp_url`; `server` is the name under which
    /// the client will show it.
    #[must_use]
    pub fn new(client: Client, server: &str, mcp_url: &str) -> Self {
        let bearer = format!("Bearer {TOKEN_PLACEHOLDER}");
        let entry = json!({
            "type": "http",
            "url": mcp_url,
            "headers": { "Authorization": bearer },
        });
        let (destination, config, command) = match client {
            Client::Claude => (
                ".mcp.json in the project's folder, or run the command",
                json!({ "mcpServers": { server: entry } }),
                Some(format!(
                    "claude mcp add --transport http {server} {mcp_url} --header 'Authorization: {bearer}'"
                )),
            ),
            Client::Vscode => (
                ".vscode/mcp.json in the project's folder",
                // VS Code asks for the token once and keeps it in its own secret storage.
                json!({
                    "inputs": [{
                        "type": "promptString",
                        "id": "agentopia-token",
                        "description": "Agent token (agt_...)",
                        "password": true,
                    }],
                    "servers": { server: {
                        "type": "http",
                        "url": mcp_url,
                        "headers": { "Authorization": "Bearer ${input:agentopia-token}" },
                    }},
                }),
                None,
            ),
            Client::Cursor => (
                "~/.cursor/mcp.json, or .cursor/mcp.json in the project's folder",
                json!({ "mcpServers": { server: {
                    "url": mcp_url,
                    "headers": { "Authorization": bearer },
                }}}),
                None,
            ),
            Client::Json => (
                "wherever the client reads mcpServers from",
                json!({ "mcpServers": { server: entry } }),
                None,
            ),
        };
        Self {
            client,
            destination: destination.to_owned(),
            config,
            command,
            token_placeholder: TOKEN_PLACEHOLDER.to_owned(),
        }
    }
}

/// A name that every client takes for a server: the agent's name in lower-case ASCII letters,
/// digits and dashes, with `agentopia` in front.
#[must_use]
pub fn server_name(agent_name: &str) -> String {
    let mut name = String::from("agentopia");
    let mut gap = true;
    for c in agent_name.chars() {
        if c.is_ascii_alphanumeric() {
            if gap {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        }
        gap = !c.is_ascii_alphanumeric();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_character_that_a_shell_or_a_client_would_trip_over() {
        assert_eq!(server_name("My Agent"), "agentopia-my-agent");
        assert_eq!(server_name("x'; rm -rf ~ #"), "agentopia-x-rm-rf");
        assert_eq!(server_name("天気"), "agentopia");
    }

    #[test]
    fn every_client_gets_the_address_and_no_token() {
        for client in [Client::Claude, Client::Vscode, Client::Cursor, Client::Json] {
            let config = ClientConfig::new(client, "agentopia-a", "http://h/agents/1/mcp");
            let text = serde_json::to_string(&config).unwrap();
            assert!(text.contains("http://h/agents/1/mcp"), "{text}");
            assert!(!text.contains("agt_1"), "{text}");
            assert!(text.contains("Authorization"), "{text}");
        }
    }
}
