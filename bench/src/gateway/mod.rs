//! What the gateway costs: calls a second, latency and processor time, beside a plain reverse proxy
//! (nginx) and beside the least that a Rust proxy can do (`pass`). The gateway does everything meanwhile:
//! token, limits, routing by a tool's name, audit.
//!
//! Load generator (`load`), upstream (`upstream`) and each proxy are processes of their own on loopback, so
//! that each one's processor time can be read. Who is compared runs in turn, several times, and medians
//! are reported as ratios: absolute numbers say more about the machine than about us.

pub(crate) mod growth;
mod link;
mod load;
pub(crate) mod many;
mod nginx;
mod ours;
mod pass;
mod recorded;
mod role;
pub(crate) mod sessions;
mod upstream;
pub(crate) mod whole;
mod wire;

use std::time::Duration;

use crate::measure::Samples;
use crate::report::Record;
use role::Part;
pub(crate) use role::Role;
use wire::{Era, Work};

/// How long one measurement takes, after a short one that is not counted.
const SPAN: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(300);
const CONCURRENCY: [usize; 3] = [1, 16, 64];
const PAYLOADS: [usize; 2] = [256, 64 << 10];

/// Who is compared.
const DIRECT: usize = 0;
const NGINX: usize = 1;
const PASS: usize = 2;
const OURS: usize = 3;
const NAMES: [&str; 4] = ["direct", "nginx", "pass", "gateway"];

/// What was measured of one of them.
#[derive(Debug, Default)]
struct Seen {
    calls_per_second: Samples,
    p50_us: Samples,
    p99_us: Samples,
    cpu_us_per_call: Samples,
}

/// Becomes one of the processes if the bench was started as one.
pub(crate) async fn be(role: Role, upstream: Option<&str>) -> anyhow::Result<()> {
    match (role, upstream) {
        (Role::Upstream, _) => upstream::serve().await,
        (Role::Pass, Some(upstream)) => pass::serve(upstream).await,
        (Role::Gateway, Some(upstream)) => ours::serve(upstream, ours::ONE).await,
        (Role::Crowd, Some(upstream)) => ours::serve(upstream, ours::CROWD).await,
        (_, None) => anyhow::bail!("--upstream is missing"),
    }
}

/// `only`: what the names of the kinds of load have in them that are measured.
pub(crate) async fn run(repeats: u16, only: &str) -> anyhow::Result<Vec<Record>> {
    let upstream = Part::start(Role::Upstream, None).await?;
    let nginx = nginx::start(&upstream.place.url).await?;
    let pass = Part::start(Role::Pass, Some(&upstream.place.url)).await?;
    let gateway = Part::start(Role::Gateway, Some(&upstream.place.url)).await?;
    let parts = [&upstream, &nginx, &pass, &gateway];
    let mut records = Vec::new();
    for era in [Era::Session, Era::Modern] {
        for payload in PAYLOADS {
            for concurrency in CONCURRENCY {
                let work = Work {
                    era,
                    payload,
                    concurrency,
                };
                if !work.to_string().contains(only) {
                    continue;
                }
                let seen = measure(work, parts, repeats).await?;
                records.extend(judge(work, &seen));
            }
        }
    }
    Ok(records)
}

/// One after the other, as often as asked for.
async fn measure(work: Work, parts: [&Part; 4], repeats: u16) -> anyhow::Result<[Seen; 4]> {
    let mut seen: [Seen; 4] = Default::default();
    for _ in 0..repeats {
        for (part, seen) in parts.into_iter().zip(&mut seen) {
            load::run(work, &part.place, WARM_UP).await?;
            let before = part.cpu()?;
            let run = load::run(work, &part.place, SPAN).await?;
            let used = part.cpu()?.saturating_sub(before);
            let calls = run.calls as f64;
            seen.calls_per_second.push(calls / run.took.as_secs_f64());
            seen.p50_us.push(run.percentile(50.0));
            seen.p99_us.push(run.percentile(99.0));
            seen.cpu_us_per_call
                .push(used.as_secs_f64() * 1_000_000.0 / calls);
        }
    }
    Ok(seen)
}

fn judge(work: Work, seen: &[Seen; 4]) -> Vec<Record> {
    let ratio = |what: fn(&Seen) -> &Samples, of: usize, to: usize| {
        what(&seen[of]).median() / what(&seen[to]).median().max(f64::MIN_POSITIVE)
    };
    let record = |metric: &str, what: fn(&Seen) -> &Samples, to: usize| {
        let value = ratio(what, OURS, to);
        let [ours, theirs] = [OURS, to].map(|who| what(&seen[who]).median());
        let detail = format!("{ours:.1} : {theirs:.1}, gateway : {}", NAMES[to]);
        Record::new("gateway", format!("{metric} ({work})"), value, "x", detail)
    };
    let mut records = Vec::new();
    if work.payload == PAYLOADS[0] {
        let beside_nginx = record("throughput beside nginx", |s| &s.calls_per_second, NGINX);
        records.push(match work.concurrency {
            1 => beside_nginx,
            _ => beside_nginx.at_least(0.9),
        });
        let p99 = record("p99 beside nginx", |s| &s.p99_us, NGINX);
        records.push(p99.at_most(1.2));
    } else {
        let beside_pass = record("throughput beside pass", |s| &s.calls_per_second, PASS);
        records.push(beside_pass.at_least(0.97));
    }
    if work.concurrency == 1 {
        let p50 = record("p50 beside direct", |s| &s.p50_us, DIRECT);
        records.push(p50.at_most(2.0));
    }
    let cpu = record(
        "processor time a call beside pass",
        |s| &s.cpu_us_per_call,
        PASS,
    );
    records.push(cpu.at_most(1.1));
    let all = seen.iter().zip(NAMES);
    let all: Vec<String> = all
        .map(|(seen, name)| format!("{name} {:.0}/s", seen.calls_per_second.median()))
        .collect();
    let calls = seen[OURS].calls_per_second.median();
    records.extend(recorded::beside(work, seen));
    records.push(Record::new(
        "gateway",
        format!("calls a second ({work})"),
        calls,
        "/s",
        all.join(", "),
    ));
    records
}
