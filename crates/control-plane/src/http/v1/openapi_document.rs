//! The OpenAPI document of this very server.

use axum::response::IntoResponse;
use http::header;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::openapi_json;
use crate::problem::{Answer, Refusal};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(handler))
}

/// The OpenAPI document of this server.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi_document",
    tag = "health",
    responses((status = 200, description = "The document", content_type = "application/json")),
)]
async fn handler() -> Answer<impl IntoResponse> {
    let text = openapi_json().map_err(Refusal::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}
