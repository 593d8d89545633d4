//! Whether the gateway grows: a million calls, in both eras, with sessions that begin and end, and resident
//! memory before the last nine tenths and after them.

use std::time::Duration;

use super::load;
use super::role::{Part, Role, resident};
use super::wire::{Era, Work};
use crate::report::Record;

const BENCH: &str = "growth";
/// After so many, pools, tables and the allocator's own are as large as they get.
const FIRST: usize = 100_000;
const ALL: usize = 1_000_000;
/// The most that is called no growth, in MiB: less than 1.2 bytes for each call in between, which nothing
/// that is kept for a call fits into, and as much as an allocator's pages come and go.
const TOLERANCE: f64 = 1.0;
/// Between two changes of the era. Sessions begin and end with it.
const SPAN: Duration = Duration::from_secs(2);
/// Until what an allocator gives back is given back.
const REST: Duration = Duration::from_secs(3);
const CONCURRENCY: usize = 16;
const PAYLOAD: usize = 256;

pub(crate) async fn run() -> anyhow::Result<Vec<Record>> {
    let upstream = Part::start(Role::Upstream, None).await?;
    let gateway = Part::start(Role::Gateway, Some(&upstream.place.url)).await?;
    let idle = resident(gateway.pid()?)?;
    let first = calls(&gateway, FIRST).await?;
    let before = memory(&gateway).await?;
    let rest = calls(&gateway, ALL.saturating_sub(first)).await?;
    let after = memory(&gateway).await?;

    let grown = after - before;
    let bytes = grown * 1024.0 * 1024.0 / rest as f64;
    let detail = format!(
        "{idle:.1} MiB before the first call, {before:.1} after {first} calls, {after:.1} after {}: {bytes:.2} bytes a call",
        first + rest
    );
    Ok(vec![
        Record::new(BENCH, "resident after it", after, "MiB", ""),
        Record::new(BENCH, "growth over the calls", grown, "MiB", detail).at_most(TOLERANCE),
    ])
}

/// At least so many; how many it were.
async fn calls(gateway: &Part, wanted: usize) -> anyhow::Result<usize> {
    let mut made = 0;
    for era in [Era::Session, Era::Modern].into_iter().cycle() {
        if made >= wanted {
            break;
        }
        let work = Work {
            era,
            payload: PAYLOAD,
            concurrency: CONCURRENCY,
        };
        made += load::run(work, &gateway.place, SPAN).await?.calls;
    }
    Ok(made)
}

async fn memory(gateway: &Part) -> anyhow::Result<f64> {
    tokio::time::sleep(REST).await;
    resident(gateway.pid()?)
}
