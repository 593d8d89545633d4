//! `agentopia env`: the account's machine.

mod disable;
mod enable;
mod scale;
mod sizes;
mod status;
mod usage;

use agentopia_api::environment::Environment;
use agentopia_domain::environment::EnvironmentStatus;
use clap::Subcommand;

use crate::app::App;
use crate::failure::{Failure, Unsuccessful};
use crate::output::{ago, bytes, optional};
use crate::values::word;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Enable(enable::Args),
    Disable(disable::Args),
    Status(status::Args),
    Sizes(sizes::Args),
    Scale(scale::Args),
    Usage(usage::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Enable(args) => enable::run(args, app).await,
            Self::Disable(args) => disable::run(args, app).await,
            Self::Status(args) => status::run(&args, app).await,
            Self::Sizes(args) => sizes::run(&args, app).await,
            Self::Scale(args) => scale::run(args, app).await,
            Self::Usage(args) => usage::run(&args, app).await,
        }
    }
}

/// What an environment does right now, for people who wait.
pub(crate) fn step(status: EnvironmentStatus) -> &'static str {
    use EnvironmentStatus as S;
    match status {
        S::PendingCreation => "asking for a machine",
        S::Creating => "starting the machine and waiting for it to report",
        S::Active => "the machine is ready",
        S::Scaling => "changing the machine's size",
        S::Unresponsive => "the machine does not report; waiting for it",
        S::ErrorCreation => "the machine could not be made",
        S::PendingDeletion => "stopping tools",
        S::Deleting => "taking the machine down",
        S::Deleted => "nothing is left of it",
        S::ErrorDeletion => "the machine could not be taken down; it is tried again",
    }
}

/// The same, with how far a change of size is.
fn doing(environment: &Environment) -> String {
    match &environment.scaling {
        Some(scaling) => format!("{}: {}", scaling.to, scaling.progress),
        None => step(environment.status).to_owned(),
    }
}

/// A price, for people.
pub(crate) fn price(monthly_cents: u32) -> String {
    format!(
        "${}.{:02} a month",
        monthly_cents / 100,
        monthly_cents % 100
    )
}

/// An environment that could not be made or taken down.
pub(crate) fn failed(environment: &Environment) -> Failure {
    let message = environment
        .error_message
        .clone()
        .unwrap_or_else(|| step(environment.status).to_owned());
    let hints = if environment.status == EnvironmentStatus::ErrorCreation {
        vec!["try again with: agentopia env enable".to_owned()]
    } else {
        vec!["it is tried again by itself; look with: agentopia env status".to_owned()]
    };
    Failure::Unsuccessful(Box::new(Unsuccessful {
        code: "environment_failed",
        message,
        log: Vec::new(),
        hints,
    }))
}

/// Everything about it, for people.
fn describe(app: &App, environment: &Environment) -> String {
    let mut lines = vec![
        ("status", word(&environment.status)),
        (
            "doing",
            environment
                .scaling
                .as_ref()
                .map(|_| doing(environment))
                .unwrap_or_default(),
        ),
        ("provider", word(&environment.provider)),
        ("runtime", optional(environment.runtime.as_deref())),
        ("machine", optional(environment.machine_id.as_deref())),
        (
            "address",
            environment
                .ip_address
                .map(|ip| match environment.dtma_port {
                    Some(port) => std::net::SocketAddr::new(ip, port).to_string(),
                    None => ip.to_string(),
                })
                .unwrap_or_default(),
        ),
        ("region", optional(environment.region.as_deref())),
        ("size", optional(environment.size.as_deref())),
        (
            "price",
            optional(environment.monthly_price_cents.map(price)),
        ),
        (
            "agent version",
            optional(environment.dtma_version.as_deref()),
        ),
        (
            "last heard",
            optional(environment.last_heartbeat_at.map(|at| ago(app.now(), at))),
        ),
    ];
    if let Some(capacity) = environment.capacity {
        lines.push((
            "capacity",
            format!(
                "{:.1} CPU, {} memory, {} disk",
                f64::from(capacity.cpu_millis) / 1000.0,
                bytes(capacity.memory_bytes),
                bytes(capacity.disk_bytes)
            ),
        ));
    }
    lines.push(("error", optional(environment.error_message.as_deref())));
    lines.push(("notice", optional(environment.notice.as_deref())));
    crate::output::fields(&lines)
}
