//! Import of the earlier model, a droplet for each agent; admins only (ENV-13).
//!
//! * [`create`]: the operation;
//! * [`known`]: what there is already, read from the store;
//! * [`plan`]: from the old rows and what is known to what has to be made (pure);
//! * [`apply`]: makes it.

mod apply;
mod create;
mod known;
mod plan;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create::handler))
}
