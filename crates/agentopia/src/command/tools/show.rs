//! `agentopia tools show`.

use std::time::Duration;

use agentopia_api::instance::{Instance, ToolList};
use agentopia_api::upstream_login::UpstreamLoginState;
use agentopia_domain::idle::{IdleSetting, Spoken};

use crate::app::App;
use crate::failure::Failure;
use crate::output::{ago, bytes, clean, fields, optional};
use crate::resolve;
use crate::values::word;

/// Show everything about one of your tools: status, settings, address, last error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools show echo
  agentopia tools show echo --functions")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// List what it offers to agents instead: its functions (\"tools\" in MCP) and their arguments.
    #[arg(long)]
    functions: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let instance = resolve::instance(&client, &args.tool).await?;
    if args.functions {
        let offered = client.instance_tools(instance.id).await?;
        return app.out.result(&offered.tools, || functions(&offered));
    }
    let entry = client
        .catalog_entry(&instance.catalog_entry_id.to_string())
        .await
        .ok()
        .map(|entry| entry.definition.slug);
    app.out
        .result(&instance, || describe(app, &instance, entry))
}

/// What is going on with its version, or why it did not come about.
fn change(instance: &Instance) -> String {
    match (&instance.change, &instance.change_problem) {
        (Some(change), _) => super::upgrade::step(change),
        (None, Some(problem)) => format!("given up: {problem}"),
        (None, None) => String::new(),
    }
}

fn describe(app: &App, instance: &Instance, slug: Option<String>) -> String {
    let resources = instance.resources;
    let runtime = &instance.runtime;
    let secrets: Vec<String> = instance
        .secrets
        .iter()
        .map(|(variable, secret)| format!("{variable} from {secret}"))
        .collect();
    fields(&[
        ("name", instance.name.to_string()),
        ("id", instance.id.to_string()),
        (
            "tool",
            slug.unwrap_or_else(|| instance.catalog_entry_id.to_string()),
        ),
        ("status", word(&instance.status)),
        ("doing", optional(instance.progress.as_ref())),
        ("error", optional(instance.error_message.as_ref())),
        ("version", instance.version.clone()),
        (
            "running version",
            optional(instance.running_version.as_ref()),
        ),
        (
            "previous version",
            optional(instance.previous.as_ref().map(|it| &it.version)),
        ),
        ("change", change(instance)),
        (
            "settings",
            if instance.config.is_empty() {
                String::new()
            } else {
                serde_json::Value::Object(instance.config.clone()).to_string()
            },
        ),
        ("secrets", crate::output::joined(secrets)),
        (
            "limits",
            format!(
                "{:.2} CPU, {} memory",
                f64::from(resources.cpu_millis) / 1000.0,
                bytes(resources.memory_bytes)
            ),
        ),
        ("container", optional(runtime.container_id.as_ref())),
        ("image digest", optional(runtime.image_digest.as_ref())),
        ("restarts", runtime.restarts.to_string()),
        ("MCP address", instance.mcp_url.clone()),
        ("login", login(instance)),
        ("direct access", direct_access(instance)),
        ("may go to", instance.egress.to_string()),
        ("idle time", idle_time(instance)),
        (
            "last used",
            optional(instance.last_used_at.map(|at| ago(app.now(), at))),
        ),
        (
            "asleep",
            optional(instance.asleep_since.map(|at| ago(app.now(), at))),
        ),
        ("deployed", ago(app.now(), instance.created_at)),
        ("changed", ago(app.now(), instance.updated_at)),
    ])
}

/// How it stands at the service of its server; empty where there is no login.
fn login(instance: &Instance) -> String {
    let Some(login) = &instance.login else {
        return String::new();
    };
    let at = login
        .issuer
        .as_ref()
        .map_or_else(String::new, |issuer| format!(" at {}", clean(issuer)));
    match (login.state, &login.problem) {
        (UpstreamLoginState::LoggedIn, _) => format!("logged in{at}"),
        (state, Some(problem)) => format!("{}: {}", word(&state), clean(problem)),
        (state, None) => word(&state),
    }
}

/// After how long it is stopped, and who said so.
fn idle_time(instance: &Instance) -> String {
    let who = match instance.idle {
        IdleSetting::Inherit => "from the catalog",
        IdleSetting::Never | IdleSetting::After { .. } => "set for this tool",
    };
    match instance.idle_seconds {
        Some(seconds) => format!("{} ({who})", Spoken(Duration::from_secs(seconds.into()))),
        None => "never stopped".to_owned(),
    }
}

/// Where it is reached directly and by whom; empty where it has no such port.
fn direct_access(instance: &Instance) -> String {
    let Some(access) = &instance.direct_access else {
        return String::new();
    };
    let place = match (&access.address, &access.problem) {
        (Some(address), _) => address.to_string(),
        (None, Some(problem)) => format!("closed, the firewall can't be changed ({problem})"),
        (None, None) => "closed".to_owned(),
    };
    let protocols = crate::output::joined(access.protocols.iter().map(|it| it.as_str()));
    format!("{place}, {protocols}, from {}", access.sources.join(", "))
}

/// Names with descriptions, and the arguments of each.
fn functions(list: &ToolList) -> String {
    if list.tools.is_empty() {
        return "it offers nothing".to_owned();
    }
    let text = |value: Option<&serde_json::Value>| {
        clean(value.and_then(|value| value.as_str()).unwrap_or_default())
    };
    let mut lines = Vec::new();
    for tool in &list.tools {
        let description = text(tool.get("description"));
        let first = description.lines().next().unwrap_or_default();
        lines.push(format!("{}  {first}", text(tool.get("name"))));
        let schema = tool.get("inputSchema");
        let properties = schema
            .and_then(|schema| schema.get("properties"))
            .and_then(|properties| properties.as_object());
        for (name, property) in properties.into_iter().flatten() {
            let kind = text(property.get("type"));
            lines.push(format!(
                "    {}  {kind}  {}",
                clean(name),
                text(property.get("description"))
            ));
        }
    }
    lines.join("\n")
}
