//! A hundred agents with twenty servers each: how long a list takes the first time, when all twenty
//! have to be asked, and after that; in both eras; and what all that takes in memory. The two thousand servers
//! are one process, which tells them apart as little as it needs to.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::link::Link;
use super::load::{Run, micros};
use super::ours::CROWD;
use super::role::{Part, Place, Role, resident};
use super::wire::Era;
use crate::report::Record;

const BENCH: &str = "many";
/// Lists of each agent after the first.
const WARM: usize = 20;
/// Until what an allocator gives back is given back.
const REST: Duration = Duration::from_secs(3);

pub(crate) async fn run() -> anyhow::Result<Vec<Record>> {
    let upstream = Part::start(Role::Upstream, None).await?;
    let gateway = Part::start(Role::Crowd, Some(&upstream.place.url)).await?;
    let agents = agents(&gateway.place)?;
    let pid = gateway.pid()?;
    tokio::time::sleep(REST).await;
    let idle = resident(pid)?;

    let mut records = vec![];
    for (era, name) in [(Era::Modern, "modern"), (Era::Session, "session")] {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        let mut links = Vec::new();
        let began = Instant::now();
        for agent in &agents {
            let mut link = Link::connect(agent, era).await?;
            link.begin().await?;
            first.push(list(&mut link).await?);
            links.push(link);
        }
        let first = Run::new(began.elapsed(), first);
        // One after the other, so that an agent's list is not always what was looked at last.
        let began = Instant::now();
        for _ in 0..WARM {
            for link in &mut links {
                later.push(list(link).await?);
            }
        }
        let later = Run::new(began.elapsed(), later);
        for (run, when) in [(first, "first list"), (later, "later list")] {
            for percent in [50.0, 99.0] {
                records.push(Record::new(
                    BENCH,
                    format!("{when}, p{percent:.0} ({name})"),
                    run.percentile(percent) / 1_000.0,
                    "ms",
                    format!(
                        "{} lists of {} tools, each from a server of its own; no error",
                        run.calls, CROWD.servers
                    ),
                ));
            }
        }
        tokio::time::sleep(REST).await;
        records.push(Record::new(
            BENCH,
            format!("resident after it ({name})"),
            resident(pid)?,
            "MiB",
            format!(
                "{idle:.1} before the first call, with the routes of {} agents",
                agents.len()
            ),
        ));
        for link in links {
            link.end().await?;
        }
    }
    Ok(records)
}

/// The endpoint of each agent.
fn agents(place: &Place) -> anyhow::Result<Vec<Place>> {
    let tokens = place.token.as_deref().context("no tokens")?;
    let pairs = place.url.split(' ').zip(tokens.split(' '));
    let places: Vec<Place> = pairs
        .map(|(url, token)| Place {
            url: url.to_owned(),
            token: Some(token.to_owned()),
        })
        .collect();
    anyhow::ensure!(places.len() == CROWD.agents, "{} agents", places.len());
    Ok(places)
}

/// Lists, and looks whether every server's tool is there under a name of its own. Microseconds.
async fn list(link: &mut Link) -> anyhow::Result<u32> {
    let began = Instant::now();
    let tools = link.tools().await?;
    let took = began.elapsed();
    let names: BTreeSet<_> = tools.iter().collect();
    let is_whole = tools.len() == CROWD.servers && names.len() == CROWD.servers;
    anyhow::ensure!(is_whole, "not the tools of all servers: {tools:?}");
    Ok(micros(took))
}
