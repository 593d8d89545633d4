//! The whole path: client → gateway → TLS → DTMA → a server in a container, over HTTP all the way; beside
//! nginx in front of the very same container. The server may use all processors: the catalog's own entry
//! allows a tenth of one, and whoever stands before that waits for it alone.

use std::fmt::Write as _;

use agentopia_test_support::{Runtime, binaries, docker};
use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::load;
use super::super::nginx;
use super::super::role::Part;
use super::super::wire::{Era, Work};
use super::product::Product;
use super::{PAYLOAD, SPAN, Seen, WARM_UP, ratio};
use crate::measure::Samples;
use crate::report::Record;

const BENCH: &str = "path";
const CONCURRENCY: [usize; 3] = [1, 16, 64];
/// The least of nginx's throughput, and the most of its p50.
const THROUGHPUT: f64 = 0.5;
const P50: f64 = 2.5;
const PORT: u16 = 8000;

/// Microseconds of processor time a call.
#[derive(Debug, Default)]
struct Costs {
    control_plane: Samples,
    dtma: Samples,
}

/// `only`: what the names of the kinds of load have in them that are measured.
pub(crate) async fn run(repeats: u16, only: &str) -> anyhow::Result<Vec<Record>> {
    let product = Product::start(Runtime::Docker, "bench-echo", Some(definition()?)).await?;
    let nginx = nginx::start(&address(&product).await?).await?;
    let mut records = Vec::new();
    for era in [Era::Session, Era::Modern] {
        for concurrency in CONCURRENCY {
            let work = Work {
                era,
                payload: PAYLOAD,
                concurrency,
            };
            if work.to_string().contains(only) {
                records.extend(measure(work, &product, &nginx, repeats).await?);
            }
        }
    }
    drop(nginx);
    product.end().await?;
    Ok(records)
}

async fn measure(
    work: Work,
    product: &Product,
    nginx: &Part,
    repeats: u16,
) -> anyhow::Result<Vec<Record>> {
    let (mut ours, mut theirs, mut costs) = (Seen::default(), Seen::default(), Costs::default());
    for _ in 0..repeats {
        load::run(work, &nginx.place, WARM_UP).await?;
        theirs.add(&load::run(work, &nginx.place, SPAN).await?);
        load::run(work, &product.place, WARM_UP).await?;
        let before = product.used()?;
        let run = load::run(work, &product.place, SPAN).await?;
        let after = product.used()?;
        let each = |used: std::time::Duration| used.as_secs_f64() * 1e6 / run.calls as f64;
        costs.control_plane.push(each(
            after.control_plane.saturating_sub(before.control_plane),
        ));
        costs
            .dtma
            .push(each(after.dtma.saturating_sub(before.dtma)));
        ours.add(&run);
    }
    Ok(judge(work, &ours, &theirs, &costs))
}

fn judge(work: Work, ours: &Seen, theirs: &Seen, costs: &Costs) -> Vec<Record> {
    let beside = |metric: &str, what: fn(&Seen) -> &Samples, unit: &str| {
        let (ours, theirs) = (what(ours), what(theirs));
        let mut detail = String::new();
        for (name, samples) in [("product", ours), ("nginx", theirs)] {
            let separator = if detail.is_empty() { "" } else { "; " };
            // Never fails.
            let _ = write!(
                detail,
                "{separator}{name} {:.0} {unit} ({})",
                samples.median(),
                samples.spread()
            );
        }
        let metric = format!("{metric} beside nginx ({work})");
        Record::new(BENCH, metric, ratio(ours, theirs), "x", detail)
    };
    let cost = |name: &str, samples: &Samples| {
        let metric = format!("processor time a call, {name} ({work})");
        Record::new(BENCH, metric, samples.median(), "us", samples.spread())
    };
    vec![
        beside("throughput", |it| &it.calls_per_second, "/s").at_least(THROUGHPUT),
        beside("p50", |it| &it.p50_us, "us").at_most(P50),
        beside("p99", |it| &it.p99_us, "us"),
        cost("control plane", &costs.control_plane),
        cost("DTMA", &costs.dtma),
    ]
}

/// The echo server over HTTP, as an entry of the catalog.
fn definition() -> anyhow::Result<Value> {
    let images: Value = serde_json::from_slice(&std::fs::read(binaries::images()?)?)?;
    let echo = &images["echo"];
    anyhow::ensure!(
        echo.is_object(),
        "images.json has no echo: run script/images"
    );
    Ok(json!({
        "slug": "bench-echo",
        "name": "Echo for benchmarks",
        "packaging": {"type": "docker_image", "image": echo["image"]},
        "transport": {"type": "streamable_http", "port": PORT, "path": "/mcp"},
        "versions": [{
            "version": "1", "digest": echo["digest"],
            "args": ["--http", format!("0.0.0.0:{PORT}")],
        }],
        "default_version": "1",
        "resources": {"cpu_millis": processors() * 1_000, "memory_bytes": 134_217_728, "pids": 512},
        "status": "available",
    }))
}

/// As many as there are: the engine takes no more.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Where the container's server listens.
async fn address(product: &Product) -> anyhow::Result<String> {
    let machine = product.cluster.machine().await?;
    let container = machine.container(product.instance.id).await?;
    let seen = docker::inspect("container", &container).await?;
    let networks = seen["NetworkSettings"]["Networks"].as_object();
    let mut networks = networks.into_iter().flat_map(|all| all.values());
    let ip = networks.find_map(|network| network["IPAddress"].as_str().filter(|ip| !ip.is_empty()));
    let ip = ip.with_context(|| format!("container {container} has no address"))?;
    Ok(format!("http://{ip}:{PORT}/mcp"))
}
