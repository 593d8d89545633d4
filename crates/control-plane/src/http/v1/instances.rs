//! Running copies of tools (TOOL-3 to TOOL-8).

mod call;
pub(in crate::http::v1) mod check;
mod definitions;
mod deploy;
mod direct_access;
mod doctor;
mod egress;
mod idle;
mod intend;
mod list;
mod login;
mod logs;
mod remote;
mod remove;
mod restart;
pub(in crate::http::v1) mod secrets;
mod show;
mod shown;
mod start;
mod stop;
mod tools;
mod update;
mod version;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, deploy::handler))
        .routes(routes!(show::handler, update::handler, remove::handler))
        .routes(routes!(start::handler))
        .routes(routes!(stop::handler))
        .routes(routes!(restart::handler))
        .routes(routes!(login::begin, login::forget))
        .routes(routes!(logs::handler))
        .routes(routes!(tools::handler))
        .routes(routes!(doctor::handler))
        .routes(routes!(version::check_updates::handler))
        .routes(routes!(version::upgrade::handler))
        .routes(routes!(version::rollback::handler))
        .routes(routes!(definitions::show, definitions::hold))
        .routes(routes!(definitions::accept))
        .routes(routes!(call::handler))
}
