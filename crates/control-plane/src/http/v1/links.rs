//! Which agent may use which instance (AGT-2).

mod delete;
mod find;
mod list;
mod put;
mod secrets;
mod words;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(put::handler, delete::handler))
}
