//! Real rmcp servers and clients of both eras through the gateway.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock,
    GetPromptRequestParams, JsonObject, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleClient, RoleServer, ServerHandler};
use serde_json::json;
use tokio::sync::Notify;

use crate::rig::{Agent, PATIENCE, Rig};

/// A server of both eras.
#[derive(Clone)]
struct Real {
    label: &'static str,
    started: Arc<Notify>,
    cancelled: Arc<Notify>,
}

impl ServerHandler for Real {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name| Tool::new(name, "a tool", Arc::new(JsonObject::new()));
        Ok(ListToolsResult::with_all_items(vec![
            tool("echo"),
            tool("count"),
            tool("wait"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            "echo" => {
                let arguments = serde_json::to_string(&request.arguments).unwrap();
                let text = format!("{} {arguments}", self.label);
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
            "count" => {
                let token = context.meta.get_progress_token().unwrap();
                for step in 1..=3 {
                    let note = ProgressNotificationParam::new(token.clone(), f64::from(step));
                    context.peer.notify_progress(note).await.unwrap();
                }
                Ok(CallToolResult::success(vec![ContentBlock::text("counted")]).into())
            }
            "wait" => {
                self.started.notify_one();
                context.ct.cancelled().await;
                self.cancelled.notify_one();
                Ok(CallToolResult::success(vec![]).into())
            }
            other => Err(ErrorData::invalid_params(format!("no {other}"), None)),
        }
    }
}

struct Running {
    url: String,
    real: Real,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn start(label: &'static str) -> Running {
    let real = Real {
        label,
        started: Arc::default(),
        cancelled: Arc::default(),
    };
    let served = real.clone();
    let service: StreamableHttpService<Real, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(served.clone()),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Running { url, real, server }
}

async fn connect(
    url: String,
    agent: &Agent,
    modern: bool,
) -> RunningService<RoleClient, ClientConfig> {
    let config =
        StreamableHttpClientTransportConfig::with_uri(url).auth_header(agent.token.clone());
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = if modern {
        ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        }
    } else {
        ClientLifecycleMode::Initialize
    };
    ClientConfig::default()
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .unwrap()
}

#[tokio::test]
async fn real_clients_of_both_eras_use_real_servers() {
    let (one, two) = (start("one").await, start("two").await);
    let (rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    for modern in [false, true] {
        let client = connect(rig.agent_url(&agent), &agent, modern).await;
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|t| t.name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "echo",
                "count",
                "wait",
                "two__echo",
                "two__count",
                "two__wait"
            ]
        );
        let arguments = json!({"modern": modern}).as_object().unwrap().clone();
        let call = CallToolRequestParams::new("two__echo").with_arguments(arguments);
        let called = client.call_tool(call).await.unwrap();
        let text = called.content[0].as_text().unwrap().text.clone();
        assert_eq!(text, format!("two {{\"modern\":{modern}}}"));
        let unknown = client
            .call_tool(CallToolRequestParams::new("nothing"))
            .await;
        assert!(unknown.unwrap_err().to_string().contains("unknown tool"));
        let none = client
            .get_prompt(GetPromptRequestParams::new("nothing"))
            .await;
        assert!(none.is_err());
        client.cancel().await.unwrap();
    }
    let client = connect(
        rig.instance_url(rig.snapshot.instances[1].id),
        &agent,
        false,
    )
    .await;
    assert_eq!(client.list_all_tools().await.unwrap()[0].name, "echo");
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn progress_of_a_real_server_arrives_in_order_in_both_eras() {
    let one = start("one").await;
    let (rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let params = json!({"name": "count", "arguments": {}, "_meta": {"progressToken": "mine"}});
    let session = rig.wire(&agent).opened().await;
    session.tools().await;
    for reply in [
        session.call("tools/call", params.clone()).await,
        rig.wire(&agent).modern_call("tools/call", params).await,
    ] {
        let messages = reply.messages();
        let progress: Vec<_> = messages[..3]
            .iter()
            .map(|m| serde_json::from_str::<serde_json::Value>(m).unwrap()["params"].clone())
            .map(|p| (p["progressToken"].clone(), p["progress"].as_f64().unwrap()))
            .collect();
        assert_eq!(progress, [1.0, 2.0, 3.0].map(|n| (json!("mine"), n)));
        assert_eq!(reply.result()["content"][0]["text"], "counted");
    }
}

#[tokio::test]
async fn rule_15_a_real_server_stops_when_its_client_goes_away() {
    let one = start("one").await;
    let (rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let session = rig.wire(&agent).opened().await;
    session.tools().await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "wait", "arguments": {}}});
    let modern = rig.wire(&agent);
    let requests = [
        session.posting(call.to_string()),
        modern.modern("tools/call", json!({"name": "wait", "arguments": {}})),
    ];
    for request in requests {
        let pending = tokio::spawn(async move { request.send().await.unwrap().text().await });
        tokio::time::timeout(PATIENCE, one.real.started.notified())
            .await
            .expect("it began");
        pending.abort();
        tokio::time::timeout(PATIENCE, one.real.cancelled.notified())
            .await
            .expect("it was stopped");
    }
}
