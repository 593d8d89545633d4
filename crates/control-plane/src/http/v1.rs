//! Version 1 of the public API: one module a noun, one file a verb.

mod agent_tokens;
mod agents;
mod calls;
mod catalog;
mod environment;
mod events;
mod grants;
mod health;
mod instances;
mod internal;
mod legacy_import;
mod links;
mod mcp_registry;
mod openapi_document;
mod orphans;
mod password;
mod registry_logins;
mod secrets;
mod session;
mod settings;
mod setup;
mod tokens;
mod users;
mod verification;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// All operations with their document. What each requires stands in
/// [`crate::auth::permission::TABLE`].
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(crate::openapi::base())
        .merge(health::routes())
        .merge(openapi_document::routes())
        .merge(setup::routes())
        .merge(session::routes())
        .merge(password::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(environment::routes())
        .merge(catalog::routes())
        .merge(mcp_registry::routes())
        .merge(instances::routes())
        .merge(agents::routes())
        .merge(agent_tokens::routes())
        .merge(grants::routes())
        .merge(links::routes())
        .merge(secrets::routes())
        .merge(registry_logins::routes())
        .merge(events::routes())
        .merge(calls::routes())
        .merge(settings::routes())
        .merge(legacy_import::routes())
        .merge(orphans::routes())
        .merge(verification::routes())
        .merge(internal::routes())
}
