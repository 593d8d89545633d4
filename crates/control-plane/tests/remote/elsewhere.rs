//! A real MCP server that wants a credential and remembers what it was shown.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::net::TcpListener;

#[derive(Clone)]
pub(crate) struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = Tool::new("echo", "a tool", Arc::new(JsonObject::new()));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = serde_json::to_string(&request.arguments).unwrap();
        let text = format!("far {arguments}");
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// What one request showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) authorization: String,
    /// All headers as text.
    pub(crate) others: String,
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) url: String,
    taken: Arc<Mutex<String>>,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Elsewhere {
    pub(crate) async fn start(token: &str) -> Self {
        let taken = Arc::new(Mutex::new(token.to_owned()));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (expected, log) = (Arc::clone(&taken), Arc::clone(&shown));
        let guard = from_fn(move |request: Request, next: Next| {
            let seen = see(&request);
            let is_right = seen.authorization == format!("Bearer {}", expected.lock());
            log.lock().push(seen);
            async move {
                if is_right {
                    next.run(request).await
                } else {
                    StatusCode::UNAUTHORIZED.into_response()
                }
            }
        });
        let router = axum::Router::new()
            .nest_service("/mcp", service())
            .layer(guard);
        let url = serve(router).await;
        Self { url, taken, shown }
    }

    pub(crate) async fn redirecting_to(aim: &str) -> Self {
        let aim = aim.to_owned();
        let router = axum::Router::new().fallback(move || {
            let answer = Response::builder().status(307).header("location", &aim);
            let answer = answer.body(axum::body::Body::empty()).unwrap();
            async move { answer }
        });
        let url = serve(router).await;
        Self {
            url,
            taken: Arc::default(),
            shown: Arc::default(),
        }
    }

    /// From now on no other token opens it.
    pub(crate) fn take_only(&self, token: &str) {
        token.clone_into(&mut self.taken.lock());
    }

    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.shown.lock().clone()
    }
}

/// A server that echoes, for whoever gets to it.
pub(crate) fn service() -> StreamableHttpService<Echo, LocalSessionManager> {
    StreamableHttpService::new(
        || Ok(Echo),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    )
}

fn see(request: &Request) -> Shown {
    let authorization = request.headers().get("authorization");
    Shown {
        authorization: authorization
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default(),
        others: format!("{:?}", request.headers()),
    }
}

async fn serve(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
