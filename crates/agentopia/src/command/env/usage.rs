//! `agentopia env usage`.

use std::time::Duration;

use agentopia_api::environment::UsageSample;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, bytes};
use crate::resolve;
use crate::values::duration;

/// The most rows that people are shown; programs get every sample.
const ROWS: usize = 20;

/// Show how much of the machine is used: processor, memory, disk and network.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env usage
  agentopia env usage --since 12h --tool echo -o json")]
pub(crate) struct Args {
    /// How far back, at most 31d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    since: Duration,
    /// Of one tool (name or id) instead of the whole machine.
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let instance = match &args.tool {
        Some(reference) => Some(resolve::instance(&client, reference).await?.id),
        None => None,
    };
    let series = client.usage(args.since.as_secs().max(1), instance).await?;
    app.out.result(&series, || {
        let mut table = Table::new(
            ["WHEN", "CPU", "MEMORY", "DISK", "RECEIVED", "SENT"],
            "nothing was measured in this time",
        );
        for sample in thinned(&series.samples) {
            let usage = sample.usage;
            table.row([
                ago(app.now(), sample.at),
                format!("{:.2}", f64::from(usage.cpu_millis) / 1000.0),
                bytes(usage.memory_bytes),
                bytes(usage.disk_bytes),
                bytes(usage.network_rx_bytes),
                bytes(usage.network_tx_bytes),
            ]);
        }
        let mut text = table.text();
        if let Some(capacity) = series.capacity {
            text.push_str(&format!(
                "\nof {:.1} CPU, {} memory, {} disk",
                f64::from(capacity.cpu_millis) / 1000.0,
                bytes(capacity.memory_bytes),
                bytes(capacity.disk_bytes)
            ));
        }
        text
    })
}

/// At most [`ROWS`], evenly, the newest always.
fn thinned(samples: &[UsageSample]) -> impl Iterator<Item = &UsageSample> {
    let step = samples.len().div_ceil(ROWS).max(1);
    let skip = samples.len().saturating_sub(1) % step;
    samples.iter().skip(skip).step_by(step)
}

#[cfg(test)]
mod tests {
    use agentopia_domain::metrics::Usage;
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_newest_sample_is_always_shown() {
        for count in [0_usize, 1, 19, 20, 21, 333, 1000] {
            let samples: Vec<UsageSample> = (0..count)
                .map(|n| UsageSample {
                    at: DateTime::UNIX_EPOCH + chrono::Duration::seconds(n as i64),
                    instance_id: None,
                    usage: Usage {
                        cpu_millis: 0,
                        memory_bytes: 0,
                        disk_bytes: 0,
                        network_rx_bytes: 0,
                        network_tx_bytes: 0,
                    },
                })
                .collect();
            let shown: Vec<_> = thinned(&samples).collect();
            assert!(shown.len() <= ROWS, "{count}");
            assert_eq!(
                shown.last().map(|s| s.at),
                samples.last().map(|s| s.at),
                "{count}"
            );
        }
    }
}
