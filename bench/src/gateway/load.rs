//! The load generator: so many connections, each with one call at a time, every answer checked.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::link::Link;
use super::role::Place;
use super::wire::{self, Work};

/// What came of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) calls: usize,
    pub(super) took: Duration,
    /// Sorted, in microseconds.
    latencies: Vec<u32>,
}

impl Run {
    /// Of what every call took, in microseconds.
    pub(super) fn new(took: Duration, mut latencies: Vec<u32>) -> Self {
        latencies.sort_unstable();
        Self {
            calls: latencies.len(),
            took,
            latencies,
        }
    }

    /// In microseconds.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index between 0 and the last"
        )]
        let at = (last * percent / 100.0).round() as usize;
        self.latencies.get(at).copied().map_or(0.0, f64::from)
    }
}

pub(super) async fn run(work: Work, place: &Place, span: Duration) -> anyhow::Result<Run> {
    let mut callers = JoinSet::new();
    for _ in 0..work.concurrency {
        let caller = Caller::open(work, place).await?;
        callers.spawn(async move { caller.call_for(span).await });
    }
    let began = Instant::now();
    let mut latencies = Vec::new();
    while let Some(called) = callers.join_next().await {
        latencies.extend(called??);
    }
    Ok(Run::new(began.elapsed(), latencies))
}

/// One connection.
struct Caller {
    link: Link,
    call: Request<Full<Bytes>>,
    /// What every answer has in it.
    expected: String,
}

impl Caller {
    async fn open(work: Work, place: &Place) -> anyhow::Result<Self> {
        let mut link = Link::connect(place, work.era).await?;
        link.begin().await?;
        let tools = link.tools().await?;
        // Where two servers have it, the last one's has another name, which is put right on the way.
        let name = tools.iter().rfind(|name| name.ends_with(wire::TOOL));
        let call = wire::call(work, name.context("no tool")?);
        Ok(Self {
            call: link.request(&call)?,
            link,
            expected: wire::expected(work.payload),
        })
    }

    async fn call_for(mut self, span: Duration) -> anyhow::Result<Vec<u32>> {
        let mut latencies = Vec::with_capacity(1 << 16);
        let end = Instant::now() + span;
        loop {
            let began = Instant::now();
            if began >= end {
                break;
            }
            let body = self.link.send(self.call.clone()).await?;
            wire::check(&body, &self.expected)?;
            latencies.push(micros(began.elapsed()));
        }
        self.link.end().await?;
        Ok(latencies)
    }
}

/// As percentiles are made of.
pub(super) fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}
