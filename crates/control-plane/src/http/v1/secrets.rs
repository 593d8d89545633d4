//! Values in the vault (SEC-3).

mod delete;
pub(in crate::http::v1) mod find;
mod list;
mod put;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(put::handler, delete::handler))
}
