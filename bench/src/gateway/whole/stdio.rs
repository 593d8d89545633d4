//! A stdio server behind the product: client → gateway → TLS → DTMA → the pipes of its process; beside the
//! bare pipe, beside the same program over HTTP behind nginx, and beside two `mcp-proxy`s with the same program.
//! And how long a session takes to open, beyond what the program itself takes.

use std::time::Duration;

use agentopia_test_support::Runtime;
use anyhow::Context as _;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::super::link::Link;
use super::super::load::{self, Run};
use super::super::nginx;
use super::super::role::{Part, Place};
use super::super::wire::{self, Era, Work};
use super::bare::Bare;
use super::product::Product;
use super::{PAYLOAD, SPAN, Seen, WARM_UP, peers, ratio};
use crate::measure::Samples;
use crate::report::Record;

const BENCH: &str = "stdio";
/// With one call at a time the bare pipe is what it is measured by; with sixteen, the same server over HTTP.
const CONCURRENCY: [usize; 2] = [1, 16];
/// The least of the bare pipe's throughput, and of nginx's before the server over HTTP.
const BESIDE_PIPE: f64 = 0.45;
const BESIDE_HTTP: f64 = 0.6;
/// The most that a session takes longer to open than the server to start, in milliseconds.
const OPENING: f64 = 2.0;
/// Sessions that are opened in each repeat.
const OPENED: usize = 20;

/// Whom the product is compared with.
struct Others {
    bare: Option<Bare>,
    /// Behind nginx.
    _http: Part,
    nginx: Part,
    npm: Option<Part>,
    pypi: Option<Part>,
}

/// `only`: what the names of the kinds of load have in them that are measured, "open" among them.
pub(crate) async fn run(repeats: u16, only: &str) -> anyhow::Result<Vec<Record>> {
    let product = Product::start(Runtime::Process, "echo", None).await?;
    let http = peers::over_http().await?;
    let mut others = Others {
        bare: None,
        nginx: nginx::start(&http.place.url).await?,
        _http: http,
        npm: peers::npm().await?,
        pypi: peers::pypi().await?,
    };
    let mut records = Vec::new();
    for era in [Era::Session, Era::Modern] {
        // A process speaks one era for life.
        let mut bare = Bare::start()?;
        if era == Era::Session {
            bare.begin()?;
        }
        others.bare = Some(bare);
        for concurrency in CONCURRENCY {
            let work = Work {
                era,
                payload: PAYLOAD,
                concurrency,
            };
            if work.to_string().contains(only) {
                records.extend(measure(work, &product.place, &mut others, repeats).await?);
            }
        }
        if let Some(bare) = others.bare.take() {
            bare.end()?;
        }
    }
    if "open".contains(only) {
        records.extend(openings(&product.place, repeats).await?);
    }
    drop(others);
    product.end().await?;
    Ok(records)
}

async fn measure(
    work: Work,
    product: &Place,
    others: &mut Others,
    repeats: u16,
) -> anyhow::Result<Vec<Record>> {
    let [mut bare, mut http, mut ours, mut npm, mut pypi] = [(); 5].map(|()| Seen::default());
    for _ in 0..repeats {
        on_pipe(work, others, WARM_UP).await?;
        bare.add(&on_pipe(work, others, SPAN).await?);
        http.add(&twice(work, &others.nginx.place).await?);
        ours.add(&twice(work, product).await?);
        for (peer, seen) in [(&others.npm, &mut npm), (&others.pypi, &mut pypi)] {
            // They know the session era.
            if let (Some(peer), Era::Session) = (peer, work.era) {
                seen.add(&twice(work, &peer.place).await?);
            }
        }
    }
    let calls = |seen: &Seen| seen.calls_per_second.median();
    let beside = |name: &str, theirs: &Seen| {
        let value = ratio(&ours.calls_per_second, &theirs.calls_per_second);
        let detail = format!(
            "product {:.0}/s ({}) : {:.0}/s ({}); p50 {:.0} : {:.0} us",
            calls(&ours),
            ours.calls_per_second.spread(),
            calls(theirs),
            theirs.calls_per_second.spread(),
            ours.p50_us.median(),
            theirs.p50_us.median(),
        );
        let metric = format!("throughput beside {name} ({work})");
        Record::new(BENCH, metric, value, "x", detail)
    };
    let (pipe, nginx) = (
        beside("the bare pipe", &bare),
        beside("nginx and the server over HTTP", &http),
    );
    let mut records = match work.concurrency {
        1 => vec![pipe.at_least(BESIDE_PIPE), nginx],
        _ => vec![pipe, nginx.at_least(BESIDE_HTTP)],
    };
    for (name, seen) in [("npm's mcp-proxy", &npm), ("PyPI's mcp-proxy", &pypi)] {
        if calls(seen) > 0.0 {
            records.push(beside(name, seen));
        }
    }
    Ok(records)
}

/// Once to warm up.
async fn twice(work: Work, place: &Place) -> anyhow::Result<Run> {
    load::run(work, place, WARM_UP).await?;
    load::run(work, place, SPAN).await
}

/// On a thread of its own, which waits for the pipe and for nothing else.
async fn on_pipe(work: Work, others: &mut Others, span: Duration) -> anyhow::Result<Run> {
    let mut bare = others.bare.take().context("the server has ended")?;
    let (bare, run) = spawn_blocking(move || {
        let run = bare.run(work, span);
        (bare, run)
    })
    .await?;
    others.bare = Some(bare);
    run
}

/// From `initialize` to the first answered call: through the product, which starts a process for the session;
/// and with a process that is started by hand.
async fn openings(product: &Place, repeats: u16) -> anyhow::Result<Vec<Record>> {
    let (mut ours, mut bare) = (Samples::default(), Samples::default());
    for repeat in 0..=repeats {
        for _ in 0..OPENED {
            let opened = open(product).await?;
            let started = spawn_blocking(start).await??;
            // The first round is not counted.
            if repeat > 0 {
                ours.add(opened);
                bare.add(started);
            }
        }
    }
    let beyond = ours.median() - bare.median();
    let detail = format!(
        "from `initialize` to an answered call, {:.2} ms ({}), less the program's own start and the same messages on its pipes, {:.2} ms ({})",
        ours.median(),
        ours.spread(),
        bare.median(),
        bare.spread()
    );
    let record = Record::new(
        BENCH,
        "opening a session beyond the server's start",
        beyond,
        "ms",
        detail,
    );
    Ok(vec![record.at_most(OPENING)])
}

async fn open(product: &Place) -> anyhow::Result<Duration> {
    let mut link = Link::connect(product, Era::Session).await?;
    let work = Work {
        era: Era::Session,
        payload: PAYLOAD,
        concurrency: 1,
    };
    let began = Instant::now();
    link.begin().await?;
    let call = link.request(&wire::call(work, wire::TOOL))?;
    let body = link.send(call).await?;
    let took = began.elapsed();
    wire::check(&body, &wire::expected(PAYLOAD))?;
    link.end().await?;
    Ok(took)
}

fn start() -> anyhow::Result<Duration> {
    let began = std::time::Instant::now();
    let mut bare = Bare::start()?;
    bare.begin()?;
    bare.call(PAYLOAD)?;
    let took = began.elapsed();
    bare.end()?;
    Ok(took)
}
