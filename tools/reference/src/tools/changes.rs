//! Tools that say that a list changed. None did: what is tested is that clients hear of it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::ProtocolVersion;
use rmcp::service::RequestContext;

use super::tool;
use crate::server::{List, Reference};

pub(super) fn router() -> ToolRouter<Reference> {
    ToolRouter::new()
        .with_route((
            tool(
                "test_trigger_tool_change",
                "Says that the list of tools changed",
            ),
            tools_changed,
        ))
        .with_route((
            tool(
                "test_trigger_prompt_change",
                "Says that the list of prompts changed",
            ),
            prompts_changed,
        ))
}

fn tools_changed(server: &Reference, context: RequestContext<RoleServer>) -> BoxFuture<'_, String> {
    announce(server, List::Tools, context).boxed()
}

fn prompts_changed(
    server: &Reference,
    context: RequestContext<RoleServer>,
) -> BoxFuture<'_, String> {
    announce(server, List::Prompts, context).boxed()
}

/// Tells all who listen without a session, and the caller if it has one: sessions hear without asking.
async fn announce(server: &Reference, list: List, context: RequestContext<RoleServer>) -> String {
    // Fails if nobody listens.
    let _ = server.shared.changes.send(list);
    let version = context.protocol_version();
    if version.is_some_and(|version| version < ProtocolVersion::V_2026_07_28) {
        // Fails if the caller has gone away.
        let _ = match list {
            List::Tools => context.peer.notify_tool_list_changed().await,
            List::Prompts => context.peer.notify_prompt_list_changed().await,
        };
    }
    "Announced".to_owned()
}
