//! Liveness and readiness, for supervisors and load balancers (OPS-1).

mod live;
mod ready;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(live::handler))
        .routes(routes!(ready::handler))
}
