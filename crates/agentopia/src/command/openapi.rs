//! `agentopia openapi`: the description of the HTTP API, made from the code.

use crate::app::App;
use crate::failure::Failure;

/// Print the description of the HTTP API (an OpenAPI 3.1 document in JSON).
///
/// It is what the server serves at /api/v1/openapi.json; no server is needed here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia openapi > openapi.json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let document = agentopia_control_plane::openapi::openapi_json()
        .map_err(|error| Failure::other(error, "the document can't be made"))?;
    app.out.raw(document.as_bytes())
}
