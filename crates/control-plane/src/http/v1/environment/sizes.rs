//! `GET /api/v1/environment/sizes`: the sizes that the account's machine can have, and their prices.

use agentopia_api::Problem;
use agentopia_api::environment::{EnvironmentSize, EnvironmentSizes};
use axum::Json;

use super::offer::Wish;
use crate::http::extract::Call;
use crate::problem::Answer;

/// The sizes that the account's machine can have, the cheapest first, with what is in the way of
/// choosing each of them now.
#[utoipa::path(
    get,
    path = "/api/v1/environment/sizes",
    operation_id = "list_environment_sizes",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "The sizes", body = EnvironmentSizes),
        (status = 502, description = "provider_error", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<EnvironmentSizes>> {
    let wish = Wish::of(&call).await?;
    let sizes = wish.offered(&call).await?;
    let sizes = sizes.into_iter().map(|size| EnvironmentSize {
        is_current: wish.is_current(&size),
        obstacle: wish.obstacle(&size).map(|obstacle| obstacle.to_string()),
        vcpus: size.vcpus,
        memory_bytes: size.memory_bytes,
        disk_bytes: size.disk_bytes,
        monthly_price_cents: size.monthly_price_cents,
        name: size.name,
    });
    Ok(Json(EnvironmentSizes {
        sizes: sizes.collect(),
    }))
}
