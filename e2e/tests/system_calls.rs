//! Who called what is kept (AGT-8): every call, whoever made it, also one that ended right before the
//! control plane did; and nobody else sees it.

use std::collections::BTreeSet;

use agentopia_api::call::{Call, CallDetail};
use agentopia_domain::call::CallOutcome;
use agentopia_test_support::Cluster;
use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::{Value, json};

const CALLERS: usize = 6;
const EACH: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_kept_also_one_right_before_the_end() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("helper", &[echo.id]).await?;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| agent.modern())
        .collect::<Result<_, _>>()?;
    cluster
        .admin
        .call(echo.id, "echo", json!({"text": "by hand"}))
        .await?;
    try_join_all(callers.iter().map(async |caller| {
        for _ in 0..EACH {
            caller.call("echo", json!({"text": "again"})).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    cluster.control_plane.stop().await?;
    cluster.control_plane.start().await?;

    let calls: Vec<Call> = cluster.admin.list("/api/v1/calls").await?;
    assert_eq!(calls.len(), CALLERS * EACH + 1);
    for call in &calls {
        assert_eq!(call.instance_id, echo.id);
        assert_eq!(call.method, "tools/call");
        assert_eq!(
            (&*call.target, call.outcome),
            ("echo", CallOutcome::Answered)
        );
        assert!(call.duration_us > 0 && call.request_bytes > 0 && call.response_bytes > 0);
    }
    let (by_agent, by_hand): (Vec<&Call>, Vec<&Call>) =
        calls.iter().partition(|call| call.agent_id.is_some());
    assert!(
        by_agent
            .iter()
            .all(|call| call.agent_id == Some(agent.id()))
    );
    assert!(by_agent.iter().all(|call| call.user_id.is_none()));
    let traces: BTreeSet<&str> = by_agent
        .iter()
        .filter_map(|call| call.trace_id.as_deref())
        .filter(|id| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit()))
        .collect();
    assert_eq!(traces.len(), by_agent.len(), "each is a trace of its own");
    let [by_hand] = by_hand[..] else {
        anyhow::bail!("not one call by hand: {by_hand:?}");
    };
    assert!(by_hand.user_id.is_some());

    let cli = cluster.cli()?;
    let list = ["calls", "list", "--agent", "helper", "--limit", "1000"];
    let by_agent: Vec<Value> = cli.json(&list).await?;
    assert_eq!(by_agent.len(), CALLERS * EACH);
    let told = cli.run(&["calls", "list", "--limit", "400"]).await?;
    let last = told.stdout.lines().last().context("it says nothing")?;
    assert!(
        last.contains("a person") && last.contains(echo.name.as_str()),
        "{last}"
    );
    let failed = cli
        .run(&["calls", "list", "--tool", "echo", "--outcome", "failed"])
        .await?;
    assert_eq!(failed.stdout.trim(), "no calls yet", "{failed:?}");

    let somebody_else = cluster.user("bo@example.com").await?;
    let theirs = format!("/api/v1/calls?agent_id={}", agent.id());
    for path in ["/api/v1/calls", &theirs] {
        let seen: Vec<Call> = somebody_else.list(path).await?;
        assert!(seen.is_empty(), "{path}");
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_did_not_work_is_kept_as_what_it_was() -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .set("AGENTOPIA_AGENT_CALLS_PER_MINUTE", "12")
        .start()
        .await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("helper", &[echo.id]).await?;
    let client = agent.modern()?;
    client.call("echo", json!({"text": 5})).await.ok();
    let mut limited = 0;
    for _ in 0..6 {
        limited += usize::from(client.call("echo", json!({"text": "x"})).await.is_err());
    }
    assert!(limited > 0, "nothing was limited");
    let kept = agentopia_test_support::wait_for(
        std::time::Duration::from_secs(10),
        "the calls to be kept",
        async || {
            let calls: Vec<Call> = cluster.admin.list("/api/v1/calls").await?;
            anyhow::ensure!(calls.len() == 7, "{} calls", calls.len());
            Ok(calls)
        },
    )
    .await?;
    let outcome = |wanted| kept.iter().filter(|call| call.outcome == wanted).count();
    assert_eq!(outcome(CallOutcome::Limited), limited);
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_as_many_calls_as_were_allowed_also_after_a_restart() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("helper", &[echo.id]).await?;
    let cli = cluster.cli()?;
    let limit = ["agents", "update", "helper", "--calls-per-day", "3"];
    cli.run(&limit).await?;
    let client = agent.modern()?;
    for _ in 0..2 {
        client.call("echo", json!({"text": "x"})).await?;
    }
    cluster.control_plane.stop().await?;
    cluster.control_plane.start().await?;
    let client = agent.modern()?;
    client.call("echo", json!({"text": "the third"})).await?;
    let refused = client.call("echo", json!({"text": "the fourth"})).await;
    let refused = refused.err().context("the fourth call was made")?;
    let told = format!("{refused:#}");
    anyhow::ensure!(told.contains("3 a day (UTC) are allowed"), "{told}");
    let told = cli.run(&["calls", "counts"]).await?.stdout;
    anyhow::ensure!(
        told.lines()
            .any(|line| line.contains("helper") && line.ends_with('3')),
        "{told}"
    );
    cli.run(&["agents", "update", "helper", "--calls-per-day", "none"])
        .await?;
    client.call("echo", json!({"text": "the fifth"})).await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_kept_if_wanted_and_without_secrets() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("helper", &[echo.id]).await?;
    let client = agent.modern()?;
    client.call("echo", json!({"text": "before"})).await?;
    let cli = cluster.cli()?;
    cli.run(&["settings", "update", "--keep-payloads", "true"])
        .await?;
    let text = "the sky is blue and the key ghp_0123456789abcdefghij";
    client.call("echo", json!({"text": text})).await?;
    let calls = agentopia_test_support::wait_for(
        std::time::Duration::from_secs(10),
        "the calls to be kept",
        async || {
            let calls: Vec<Call> = cluster.admin.list("/api/v1/calls").await?;
            anyhow::ensure!(calls.len() == 2, "{} calls", calls.len());
            Ok(calls)
        },
    )
    .await?;
    let number = calls[0].sequence.to_string();
    let kept: CallDetail = cli.json(&["calls", "show", &number]).await?;
    for said in [&kept.arguments, &kept.result] {
        let said = said.as_deref().context("not kept")?;
        anyhow::ensure!(
            said.contains("the sky is blue and the key [redacted]") && !said.contains("ghp_"),
            "{said}"
        );
    }
    let number = calls[1].sequence.to_string();
    let before: CallDetail = cli.json(&["calls", "show", &number]).await?;
    assert_eq!((before.arguments, before.result), (None, None));
    cluster.finish().await
}
