//! `agentopia env sizes`.

use agentopia_api::environment::{EnvironmentSize, EnvironmentSizes};

use super::price;
use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, bytes};

/// Show the sizes that your machine can have, with their prices.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env sizes
  agentopia env sizes --all
  agentopia env sizes -o json")]
pub(crate) struct Args {
    /// Also those that your machine can't get, with the reason.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let offered = app.client()?.environment_sizes().await?;
    app.out.result(&offered, || text(&offered, args.all))
}

fn text(offered: &EnvironmentSizes, all: bool) -> String {
    if offered.sizes.is_empty() {
        return "there is nothing to choose: the machine is the server's own".to_owned();
    }
    let mut table = Table::new(
        ["SIZE", "CPU", "MEMORY", "DISK", "PRICE", "NOTE"],
        "none can be chosen now; --all shows why",
    );
    let possible = |size: &&EnvironmentSize| all || size.is_current || size.obstacle.is_none();
    for size in offered.sizes.iter().filter(possible) {
        table.row([
            size.name.clone(),
            size.vcpus.to_string(),
            bytes(size.memory_bytes),
            bytes(size.disk_bytes),
            price(size.monthly_price_cents),
            if size.is_current {
                "your machine has it".to_owned()
            } else {
                size.obstacle.clone().unwrap_or_default()
            },
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_chosen_is_shown_with_its_reason_when_asked_for() {
        let size = |name: &str, obstacle: Option<&str>| EnvironmentSize {
            name: name.to_owned(),
            vcpus: 2,
            memory_bytes: 4 << 30,
            disk_bytes: 80 << 30,
            monthly_price_cents: 2450,
            is_current: name == "mine",
            obstacle: obstacle.map(str::to_owned),
        };
        let offered = EnvironmentSizes {
            sizes: vec![
                size("mine", Some("the machine has this size already")),
                size("larger", None),
                size("elsewhere", Some("it can't be had in fra1")),
            ],
        };
        let short = text(&offered, false);
        assert!(short.contains("your machine has it") && short.contains("$24.50 a month"));
        assert!(
            short.contains("larger") && !short.contains("elsewhere"),
            "{short}"
        );
        assert!(text(&offered, true).contains("it can't be had in fra1"));
        assert!(text(&EnvironmentSizes { sizes: vec![] }, true).contains("nothing to choose"));
    }
}
