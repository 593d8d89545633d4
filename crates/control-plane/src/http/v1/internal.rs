//! Service-to-service calls (ENV-3).

mod ensure_tool_environment;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(ensure_tool_environment::handler))
}
