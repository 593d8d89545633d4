//! Blueprints of tools (TOOL-1).

mod archive;
mod create;
pub(in crate::http::v1) mod find;
pub(in crate::http::v1) mod import;
mod list;
mod show;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(import::handler))
        .routes(routes!(show::handler, update::handler, archive::handler))
}
