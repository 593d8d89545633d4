//! AI agents (AGT-1, AGT-9, AGT-12).

mod config;
mod create;
mod delete;
mod discovery;
mod list;
mod show;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(show::handler, update::handler, delete::handler))
        .routes(routes!(config::handler))
        .routes(routes!(discovery::handler))
}
