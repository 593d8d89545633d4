//! The OpenAPI document, made from the code. `docs/openapi.json` is a copy of it; a test fails
//! when it is stale. The TypeScript client is generated from that file.

use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Agentopia",
        description = "Tool infrastructure for AI agents: environments, MCP servers, agents and \
                       their links. Every refusal is an RFC 9457 problem document with a stable \
                       `code`. Lists come in pages: give `next_cursor` back as `cursor`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(agentopia_api::Problem)),
    tags(
        (name = "health", description = "Liveness and readiness"),
        (name = "setup", description = "The first admin"),
        (name = "session", description = "Signing in and out"),
        (name = "users", description = "People who can sign in (admins)"),
        (name = "tokens", description = "Personal tokens"),
        (name = "environment", description = "The account's machine"),
        (name = "catalog", description = "Blueprints of tools"),
        (name = "mcp_registry", description = "The catalog as an MCP registry"),
        (name = "instances", description = "Running copies of tools"),
        (name = "agents", description = "AI agents, their tokens and links"),
        (name = "grants", description = "MCP clients that were let in by browser login"),
        (name = "secrets", description = "Values in the vault"),
        (name = "registry_logins", description = "Logins at container registries"),
        (name = "calls", description = "Who called what"),
        (name = "settings", description = "What is decided for all agents of an account"),
        (name = "events", description = "The timeline"),
        (name = "orphans", description = "What belongs to nobody at the provider (admins)"),
        (name = "verification", description = "Whether the installation works (admins)"),
        (name = "internal", description = "Service to service"),
    )
)]
struct Base;

/// The security schemes by the names that operations use.
pub const SESSION: &str = "session";
/// Bearer tokens.
pub const TOKEN: &str = "token";
/// The service-to-service secret.
pub const INTERNAL: &str = "internal";

/// Operations whose body may be left out. The macro that describes operations calls every body required,
/// unless it may be `null`, which ours may not.
const OPTIONAL_BODIES: [&str; 2] = ["enable_environment", "put_link"];

/// The document without operations; the router adds them.
#[must_use]
pub fn base() -> OpenApi {
    let mut document = Base::openapi();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        SESSION,
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            agentopia_api::SESSION_COOKIE,
            "From POST /api/v1/session; changes also need the header X-CSRF-Token.",
        ))),
    );
    components.add_security_scheme(
        TOKEN,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("pat_...")
                .build(),
        ),
    );
    components.add_security_scheme(
        INTERNAL,
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(
            agentopia_api::INTERNAL_SECRET_HEADER,
        ))),
    );
    document
}

/// The whole document, pretty, with a newline at its end: what stands in `docs/openapi.json`.
///
/// # Errors
/// Never in fact; serialisation of JSON values can fail by its type.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    let mut document = crate::http::v1::routes().into_openapi();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.post, &mut item.put].into_iter().flatten() {
            let id = operation.operation_id.as_deref().unwrap_or_default();
            if let Some(RefOr::T(body)) = operation.request_body.as_mut()
                && OPTIONAL_BODIES.contains(&id)
            {
                body.required = None;
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}
