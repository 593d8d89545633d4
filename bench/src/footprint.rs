//! Memory of the idle parts: the DTMA with ten instances, the control plane, `tool-init`.
//!
//! Read from `/proc/PID/smaps_rollup` once the numbers stand still. The processes are found through
//! the DTMA's lock file, our own child and `docker inspect`, never by name.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_test_support::process::Process;
use agentopia_test_support::{Cluster, Runtime, docker};
use anyhow::Context as _;
use serde_json::json;

use crate::measure::Samples;
use crate::report::Record;

const BENCH: &str = "footprint";
/// How many instances the DTMA has.
const INSTANCES: usize = 10;
/// Targets: MiB resident, MiB resident, KiB resident (1.1 MiB), KiB dirty.
const DTMA: f64 = 15.0;
const CONTROL_PLANE: f64 = 60.0;
const TOOL_INIT: f64 = 1.1 * 1024.0;
const TOOL_INIT_DIRTY: f64 = 128.0;
/// How long between two looks at the memory, and how many at most.
const PAUSE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 12;
/// Two looks that differ by less say that it stands still.
const STILL_KIB: u64 = 64;

/// What the kernel says of a process's memory.
#[derive(Debug, Clone, Copy)]
struct Memory {
    resident_kib: u64,
    /// Pages that belong to this process alone and were written: what it costs for sure.
    dirty_kib: u64,
}

pub(crate) async fn run() -> anyhow::Result<Vec<Record>> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(cluster.deploy("echo").await?.id);
    }
    let dtma = cluster
        .machine()
        .await?
        .dtma()
        .context("the DTMA does not run")?;
    let control_plane = cluster
        .control_plane
        .process()
        .context("the control plane does not run")?;
    let after_deploy = (still(dtma).await?, still(control_plane).await?);
    let inits = inits(&cluster, &instances).await?;
    // Once every way through has been used, caches and pools are as they will stay.
    let agent = cluster.agent_with("bench", &instances).await?;
    let tools = agent.tools().await?;
    for tool in tools.iter().filter(|name| name.ends_with("echo")) {
        agent.call(tool, json!({"text": "hello"})).await?;
    }
    let after_calls = (still(dtma).await?, still(control_plane).await?);
    cluster.finish().await?;

    let mib = |metric, memory: Memory, how: String| {
        let detail = format!("{how}; {} KiB private dirty", memory.dirty_kib);
        Record::new(
            BENCH,
            metric,
            kib(memory.resident_kib) / 1024.0,
            "MiB",
            detail,
        )
    };
    let of_inits = |metric, pick: fn(&Memory) -> u64, how: &str| {
        let mut samples = Samples::default();
        for memory in &inits {
            samples.push(kib(pick(memory)));
        }
        let detail = format!(
            "{how}; the most of {}, least {}",
            inits.len(),
            samples.least()
        );
        Record::new(BENCH, metric, samples.most(), "KiB", detail)
    };
    let ten = format!("idle, {INSTANCES} instances of echo deployed");
    let called = format!("idle again after {} calls through an agent", tools.len());
    Ok(vec![
        mib("dtma", after_deploy.0, ten.clone()).at_most(DTMA),
        mib("dtma.after_calls", after_calls.0, called.clone()).at_most(DTMA),
        mib("control_plane", after_deploy.1, ten).at_most(CONTROL_PLANE),
        mib("control_plane.after_calls", after_calls.1, called).at_most(CONTROL_PLANE),
        of_inits("tool_init", |it| it.resident_kib, "resident").at_most(TOOL_INIT),
        of_inits("tool_init.dirty", |it| it.dirty_kib, "private dirty").at_most(TOOL_INIT_DIRTY),
    ])
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of processes are far below 2^52"
)]
fn kib(value: u64) -> f64 {
    value as f64
}

/// The memory of each instance's PID 1.
async fn inits(cluster: &Cluster, instances: &[InstanceId]) -> anyhow::Result<Vec<Memory>> {
    let machine = cluster.machine().await?;
    let mut found = Vec::new();
    for id in instances {
        let container = machine.container(*id).await?;
        let first = docker::processes(&container).await?;
        let first = first.first().context("the container has no process")?;
        found.push(memory(*first)?);
    }
    Ok(found)
}

/// The memory of a process once it stands still, or after a minute.
async fn still(process: Process) -> anyhow::Result<Memory> {
    let mut before = memory(process)?;
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let now = memory(process)?;
        if now.resident_kib.abs_diff(before.resident_kib) < STILL_KIB {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

fn memory(process: Process) -> anyhow::Result<Memory> {
    let path = format!("/proc/{}/smaps_rollup", process.pid);
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    anyhow::ensure!(process.is_alive(), "process {} has ended", process.pid);
    parse(&text).with_context(|| format!("{path} is not as expected"))
}

fn parse(rollup: &str) -> Option<Memory> {
    let field = |name: &str| {
        rollup.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?.strip_prefix(':')?;
            rest.trim().strip_suffix("kB")?.trim().parse().ok()
        })
    };
    Some(Memory {
        resident_kib: field("Rss")?,
        dirty_kib: field("Private_Dirty")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let text = "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:   1048 kB\nPss:  900 kB\nPrivate_Dirty:        60 kB\n";
        let memory = parse(text).unwrap();
        assert_eq!((memory.resident_kib, memory.dirty_kib), (1048, 60));
        assert!(parse("Rss: 5 kB\n").is_none());
    }

    #[test]
    fn this_very_process_has_memory() {
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let memory = memory(own).unwrap();
        assert!(memory.resident_kib > memory.dirty_kib && memory.dirty_kib > 0);
    }
}
