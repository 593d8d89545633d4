//! Tools that say something while they run: progress, and log messages.
//!
//! Nothing is said that was not asked for: progress needs a token in the request, log messages a level,
//! from the session (`logging/setLevel`) or, without one, from the request.

#![expect(
    deprecated,
    reason = "the conformance suite tests what the protocol still has"
)]

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam};
use rmcp::service::{RequestContext, ServiceError};

use super::tool;
use crate::server::Reference;

/// Between two notifications, so that they can't arrive all at once with the result.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn router() -> ToolRouter<Reference> {
    ToolRouter::new()
        .with_route((
            tool("test_tool_with_progress", "Reports its progress"),
            progress,
        ))
        .with_route((tool("test_tool_with_logging", "Writes log messages"), log))
        .with_route((tool("test_logging_tool", "Writes log messages, too"), log))
}

async fn progress(context: RequestContext<RoleServer>) -> Result<String, String> {
    const TOTAL: f64 = 100.0;
    let token = context.meta.get_progress_token();
    for done in [0.0, 50.0, TOTAL] {
        if let Some(token) = token.clone() {
            let note = ProgressNotificationParam::new(token, done).with_total(TOTAL);
            context.peer.notify_progress(note).await.map_err(gone)?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok("Done".to_owned())
}

fn log(
    server: &Reference,
    context: RequestContext<RoleServer>,
) -> BoxFuture<'_, Result<String, String>> {
    async move {
        let wanted = context.meta.log_level().or(*server.level.lock());
        for text in [
            "Tool execution started",
            "Tool processing data",
            "Tool execution completed",
        ] {
            // Levels are declared from the least to the most urgent.
            if wanted.is_some_and(|least| LoggingLevel::Info as u8 >= least as u8) {
                let note = LoggingMessageNotificationParam::new(LoggingLevel::Info, text.into());
                context
                    .peer
                    .notify_logging_message(note)
                    .await
                    .map_err(gone)?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok("Done".to_owned())
    }
    .boxed()
}

/// A client that can't be told has gone away; nobody will read this.
fn gone(error: ServiceError) -> String {
    error.to_string()
}
