//! From nothing to the first answer, and how long that took.

use std::time::{Duration, Instant};

use agentopia_api::event::Event;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::{TestAgent, wait_for};
use anyhow::Context as _;
use chrono::TimeDelta;
use serde_json::json;

use crate::firewall;
use crate::story::{BOOT, Beginning, DEPLOY, Story, answers};

pub(crate) async fn first_call(beginning: Beginning) -> anyhow::Result<Story> {
    let cluster = beginning.cluster;
    let admin = &cluster.admin;
    let begin = Instant::now();
    admin.enable().await?;
    // What is wanted of an environment that is not there yet waits for it.
    let echo = admin.deploy("echo").await?;
    let agent = TestAgent::create(admin, "Helper", &[echo.id]).await?;
    let environment = admin
        .wait_environment(EnvironmentStatus::Active, BOOT)
        .await?;
    let active = begin.elapsed();
    wait_for(DEPLOY, "the first answer", async || {
        let said = agent.call("echo", json!({"text": "hello"})).await?;
        anyhow::ensure!(said.text() == "hello", "{said:?}");
        Ok(())
    })
    .await?;
    let total = begin.elapsed();
    // A tool can answer before the bootstrap has said that it ended.
    let (boot, bootstrap) = wait_for(BOOT, "the whole bootstrap in the timeline", async || {
        phases(&admin.timeline(environment.id.as_uuid()).await?)
    })
    .await?;
    report(boot, bootstrap, active, total);

    let machine = cluster.machine().await?;
    assert_eq!(
        environment.ip_address,
        Some(machine.address.into()),
        "its own address"
    );
    assert_eq!(environment.machine_id, Some(machine.id.to_string()));
    assert_eq!(environment.runtime.as_deref(), Some("docker"));
    let capacity = environment.capacity.context("it has no capacity")?;
    assert!(
        (45 << 30..50 << 30).contains(&capacity.disk_bytes),
        "{capacity:?}"
    );
    assert_eq!(capacity.cpu_millis, 1000, "{capacity:?}");
    let everything = admin.deploy("everything").await?;
    agent.link(everything.id, true).await?;
    let story = Story {
        echo,
        everything,
        agent,
        cluster,
    };
    // One request made it, and there is one firewall for it.
    story.was_created(1).await?;
    firewall::is_the_only_one(&story).await?;
    story.serves(DEPLOY).await?;
    answers(&story.agent, "again").await?;
    Ok(story)
}

/// How long the machine took to our bootstrap's first line, and how long that took from there, as the
/// control plane's clock has it.
fn phases(timeline: &[Event]) -> anyhow::Result<(TimeDelta, TimeDelta)> {
    let at = |what: &str, found: &dyn Fn(&Event) -> bool| {
        let event = timeline.iter().find(|event| found(event));
        event
            .map(|event| event.at)
            .ok_or_else(|| anyhow::anyhow!("{what} is not in the timeline: {timeline:#?}"))
    };
    let phase = |phase: &str, outcome: &str| {
        at(phase, &|event: &Event| {
            event.kind == "environment.bootstrap"
                && event.data["phase"] == phase
                && event.data["outcome"] == outcome
        })
    };
    let made = at("the machine", &|event| {
        event.kind == "environment.machine_created"
    })?;
    let (begun, done) = (phase("docker", "started")?, phase("enrol", "finished")?);
    Ok((begun - made, done - begun))
}

/// What is printed is what the issue asks for.
#[expect(
    clippy::print_stderr,
    reason = "a measurement that people look for in the test's output"
)]
fn report(boot: TimeDelta, bootstrap: TimeDelta, active: Duration, total: Duration) {
    eprintln!(
        "enable to the first answered tool call: {:.1} s, of which\n\
         \x20 {:.1} s the machine's own boot, to the first line of our bootstrap\n\
         \x20 {:.1} s our bootstrap: engine, metadata, download, enrolment\n\
         \x20 active after {:.1} s; the tool's image, start and call took {:.1} s more",
        total.as_secs_f64(),
        boot.as_seconds_f64(),
        bootstrap.as_seconds_f64(),
        active.as_secs_f64(),
        (total - active).as_secs_f64(),
    );
}
