//! `GET /v1/info`.

use agentopia_dtma_api::PROTOCOL;
use agentopia_dtma_api::to_dtma::Info;
use axum::Json;
use axum::extract::State;

use super::Api;

pub(super) async fn handle(State(api): State<Api>) -> Json<Info> {
    let shared = api.reconciler.shared();
    let runtime = &shared.runtime;
    Json(Info {
        protocol: PROTOCOL,
        machine: api.facts.machine(runtime.kind(), runtime.facts().await),
        instances: shared.board.all(),
    })
}
