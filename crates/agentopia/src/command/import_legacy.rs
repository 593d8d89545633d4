//! `agentopia import-legacy`.

mod source;

use std::collections::BTreeMap;

use agentopia_api::legacy::{ImportStep, LegacyImport, LegacyImportRequest};

use crate::app::App;
use crate::failure::{Failure, Unsuccessful};
use crate::output::{Table, optional};

/// Take over users' droplets of the earlier model, which had one for each agent (admins only).
///
/// Shows what would be done; `--apply` does it. Each user's droplets become one environment, the
/// tools on them become instances, and their agents agents that may use these. Doing it again makes
/// what is still missing. The old droplets are left alone: delete them when everything serves.
///
/// A file is JSON with the rows of both tables, as this gives it:
///   psql -Atc "select json_build_object('agent_droplets', (select json_agg(d) from agent_droplets d),
///   'agent_droplet_tools', (select json_agg(t) from agent_droplet_tools t))" > legacy.json
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia import-legacy --from legacy.json
  agentopia import-legacy --from legacy.json --user 42=you@example.com --tool 7=web-search --apply
  PGPASSWORD=… agentopia import-legacy --from postgres://reader@db.internal/platform -o json")]
pub(crate) struct Args {
    /// A JSON file (`-` reads standard input), or the address of the PostgreSQL database with the
    /// tables `agent_droplets` and `agent_droplet_tools`; its password is better in PGPASSWORD.
    #[arg(long, value_name = "FILE|POSTGRES_URL")]
    from: String,
    /// Whose old user id is neither an id nor an e-mail here.
    #[arg(long, value_name = "OLD=EMAIL", value_parser = pair)]
    user: Vec<(String, String)>,
    /// Which tool an old catalog id is that is neither an id nor a slug here.
    #[arg(long, value_name = "OLD=SLUG", value_parser = pair)]
    tool: Vec<(String, String)>,
    /// Do it.
    #[arg(long)]
    apply: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("write OLD=NEW".to_owned()),
    }
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let (tables, unreadable) = source::read(&args.from).await?;
    let request = LegacyImportRequest {
        users: BTreeMap::from_iter(args.user),
        tools: BTreeMap::from_iter(args.tool),
        apply: args.apply,
        ..tables
    };
    let mut import = app.client()?.import_legacy(&request).await?;
    import.problems.splice(0..0, unreadable);
    app.out.result(&import, || text(&import))?;
    if !import.applied {
        app.out
            .note("nothing was changed; --apply does what is shown");
    }
    if import.problems.is_empty() || !import.applied {
        return Ok(());
    }
    Err(Failure::Unsuccessful(Box::new(Unsuccessful {
        code: "import_incomplete",
        message: format!("{} rows were not imported", import.problems.len()),
        log: Vec::new(),
        hints: vec!["do what is said of each, then import again: the rest is made then".to_owned()],
    })))
}

fn text(import: &LegacyImport) -> String {
    let mut parts = Vec::new();
    for account in &import.accounts {
        parts.push(format!(
            "{}\n  environment: {}{}",
            account.email,
            word(account.environment, import.applied),
            match &account.region {
                Some(region) => format!(" in {region}"),
                None => String::new(),
            },
        ));
        let mut table = Table::new(["  ", "WHAT", "NAME", "", "DONE"], "  nothing else");
        let mut row = |what: &str, name: String, more: String, step| {
            let done = word(step, import.applied).to_owned();
            table.row(["  ".to_owned(), what.to_owned(), name, more, done]);
        };
        for agent in &account.agents {
            let rows = format!("rows {}", agent.rows.join(", "));
            row("agent", agent.name.clone(), rows, agent.step);
        }
        for it in &account.instances {
            let state = if it.running { "running" } else { "stopped" };
            let more = format!(
                "{} {}, {state}, rows {}",
                it.tool,
                it.version,
                it.rows.join(", ")
            );
            row("tool", it.name.clone(), more, it.step);
        }
        for link in &account.links {
            let name = |found: Option<&String>| found.cloned().unwrap_or_default();
            let agent = account.agents.iter().find(|it| it.id == link.agent_id);
            let tool = account
                .instances
                .iter()
                .find(|it| it.id == link.instance_id);
            let tool = format!("may use {}", name(tool.map(|it| &it.name)));
            row("link", name(agent.map(|it| &it.name)), tool, link.step);
        }
        parts.push(table.text());
    }
    if !import.problems.is_empty() {
        let mut table = Table::new(["TABLE", "ROW", "NOT IMPORTED BECAUSE"], "");
        for problem in &import.problems {
            let problem = problem.clone();
            table.row([problem.table, problem.id, problem.problem]);
        }
        parts.push(table.text());
    }
    if !import.old_droplets.is_empty() {
        let mut table = Table::new(
            ["OLD DROPLET", "ADDRESS", "REGION", "SIZE", "USER", "AGENT"],
            "",
        );
        for droplet in &import.old_droplets {
            table.row([
                optional(droplet.droplet_id.as_deref()),
                optional(droplet.ip_address.as_deref()),
                optional(droplet.region.as_deref()),
                optional(droplet.size.as_deref()),
                droplet.user_id.clone(),
                droplet.agent_id.clone(),
            ]);
        }
        parts.push(format!(
            "{}\nThese go on and are billed. When everything serves: doctl compute droplet delete ID",
            table.text().trim_end()
        ));
    }
    if parts.is_empty() {
        parts.push("there is nothing to import".to_owned());
    }
    parts.join("\n")
}

const fn word(step: ImportStep, applied: bool) -> &'static str {
    match (step, applied) {
        (ImportStep::Create, false) => "would be made",
        (ImportStep::Create, true) => "made",
        (ImportStep::Exists, _) => "there already",
        (ImportStep::Failed, _) => "not made",
    }
}
