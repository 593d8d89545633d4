//! Signing in and out (SEC-1, SEC-4).

mod create;
mod delete;
mod show;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create::handler, show::handler, delete::handler))
}
