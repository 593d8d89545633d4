//! The account's machine (ENV-1 to ENV-3, ENV-10, OPS-2).

mod disable;
mod enable;
pub(in crate::http::v1) mod ensure;
mod offer;
mod scale;
mod show;
mod sizes;
mod usage;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(show::handler))
        .routes(routes!(enable::handler))
        .routes(routes!(disable::handler))
        .routes(routes!(usage::handler))
        .routes(routes!(sizes::handler))
        .routes(routes!(scale::handler))
}
