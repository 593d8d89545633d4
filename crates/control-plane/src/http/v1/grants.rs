//! What the account's people allowed MCP clients by browser login (AGT-7): seen and taken back.

mod list;
mod list_of_agent;
mod revoke;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(revoke::handler))
        .routes(routes!(list_of_agent::handler))
}
