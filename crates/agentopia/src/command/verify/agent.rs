//! An existing agent's endpoint, asked for its tools as the agent's own client does.

use std::path::Path;
use std::time::Duration;

use agentopia_domain::verification::Check;

use crate::client::Client;
use crate::command::agents::call;
use crate::failure::Failure;
use crate::resolve;

const NAME: &str = "agent.tools";
/// How long it may take: tools that are slow to start take their time.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn look(
    client: &Client,
    name: &str,
    token_file: Option<&Path>,
) -> Result<Check, Failure> {
    let agent = resolve::agent(client, name).await?;
    let token = call::token(token_file).await?;
    let asked = tokio::time::timeout(LIMIT, call::tools(&agent.mcp_url, &token)).await;
    let check = match asked {
        Ok(Ok(0)) => Check::warning(
            NAME,
            "its endpoint answers and offers no tool: look at `agentopia agents discovery`",
        ),
        Ok(Ok(count)) => Check::ok(
            NAME,
            format!("its endpoint answers and offers {count} tools"),
        ),
        Ok(Err(failure)) => Check::failed(NAME, failure.message()),
        Err(_) => Check::failed(
            NAME,
            format!(
                "{} gave no answer within {} s: look at public_url.answer, and at the server's log",
                agent.mcp_url,
                LIMIT.as_secs()
            ),
        ),
    };
    Ok(check.of(agent.name.as_str()))
}
