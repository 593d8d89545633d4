//! `agentopia calls show`.

use std::time::Duration;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{bytes, fields};
use crate::values;

/// Show one call, with its arguments and result if they were kept.
///
/// They are kept from when `agentopia settings update --keep-payloads true` was said, at most 8 KiB each, without
/// what looks like a secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia calls show 4711")]
pub(crate) struct Args {
    /// The call's number, as `agentopia calls list` shows it.
    #[arg(value_name = "CALL")]
    sequence: i64,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let detail = app.client()?.call_detail(args.sequence).await?;
    app.out.result(&detail, || {
        let call = &detail.call;
        let kept = |text: &Option<String>| text.clone().unwrap_or_else(|| "not kept".to_owned());
        let by = match (call.agent_id, call.user_id) {
            (Some(agent), _) => format!("agent {agent}"),
            (None, Some(user)) => format!("person {user}"),
            (None, None) => "nobody known".to_owned(),
        };
        let outcome = match call.error_code {
            Some(code) => format!("{} ({code})", values::word(&call.outcome)),
            None => values::word(&call.outcome),
        };
        fields(&[
            ("call", call.sequence.to_string()),
            ("at", call.at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()),
            ("by", by),
            ("tool", call.instance_id.to_string()),
            ("called", format!("{} {}", call.method, call.target)),
            (
                "took",
                format!("{:?}", Duration::from_micros(call.duration_us)),
            ),
            ("in", bytes(call.request_bytes)),
            ("out", bytes(call.response_bytes)),
            ("outcome", outcome),
            ("trace", call.trace_id.clone().unwrap_or_default()),
            ("arguments", kept(&detail.arguments)),
            ("result", kept(&detail.result)),
        ])
    })
}
