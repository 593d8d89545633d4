//! Quotas of a day, and what is kept of what is said (AGT-8).

use std::num::NonZeroU32;
use std::sync::Arc;

use agentopia_domain::account::CallCount;
use agentopia_domain::redact::MAX_KEPT;
use agentopia_gateway::{AccountRoute, CallOutcome, RawPayload};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::rig::Rig;
use crate::scripted::{self, Scripted};

#[tokio::test]
async fn of_many_calls_at_once_as_many_pass_as_the_day_allows() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let instance = rig.snapshot.instances[0].id;
    rig.snapshot.agents[0].calls_per_day = NonZeroU32::new(5);
    let other = rig.agent(&[instance]);
    rig.apply();
    let wire = Arc::new(rig.wire(&agent).opened().await);
    let replies = join_all((0..20).map(|n| {
        let wire = wire.clone();
        async move { wire.tool("echo", json!({ "n": n })).await }
    }))
    .await;
    let (passed, refused): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((passed.len(), refused.len()), (5, 15));
    let refused = &refused[0];
    assert_eq!(refused.status, 429);
    let after = refused.headers["retry-after"].to_str().unwrap();
    assert!((1..=86_400).contains(&after.parse::<u64>().unwrap()));
    let message = refused.answer()["error"]["message"].to_string();
    assert!(
        message.contains("this agent: 5 a day (UTC) are allowed"),
        "{message}"
    );
    assert_eq!(
        server.of("tools/call").len(),
        5,
        "what was refused was not made"
    );
    // Lists are no calls, and another agent has a day of its own.
    assert_eq!(wire.tools().await, ["echo"]);
    let other = rig.wire(&other).opened().await;
    other.tool("echo", json!({})).await.result();
    let records = rig.records.at_least(21).await;
    let limited = records
        .iter()
        .filter(|it| it.outcome == CallOutcome::Limited);
    assert_eq!(limited.count(), 15);
}

#[tokio::test]
async fn an_account_has_one_quota_for_all_its_agents_and_a_restart_forgets_nothing() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let instance = rig.snapshot.instances[0].id;
    let sister = rig.agent(&[instance]);
    let account = rig.snapshot.agents[0].account_id;
    rig.snapshot.agents[1].account_id = account;
    rig.snapshot.accounts.push(AccountRoute {
        id: account,
        keep_payloads: false,
        calls_per_day: NonZeroU32::new(10),
    });
    // As the store counted before this gateway began.
    rig.snapshot.calls_today.push(CallCount {
        account_id: account,
        agent_id: None,
        day: rig.ambient.now().date_naive(),
        calls: 8,
    });
    rig.apply();
    let wires = [rig.wire(&agent), rig.wire(&sister)];
    for wire in &wires {
        let call = json!({"name": "echo"});
        wire.modern_call("tools/call", call).await.result();
    }
    for wire in &wires {
        let refused = wire
            .modern_call("tools/call", json!({"name": "echo"}))
            .await;
        assert_eq!(refused.status, 429);
        let message = refused.answer()["error"]["message"].to_string();
        assert!(message.contains("this account: 10 a day"), "{message}");
    }
    rig.snapshot.accounts[0].calls_per_day = None;
    rig.apply();
    let call = wires[0].modern_call("tools/call", json!({"name": "echo"}));
    call.await.result();
}

#[tokio::test]
async fn what_no_server_had_counts_once() {
    let refusing = |seen: scripted::Seen| async move {
        match seen.method() {
            "initialize" => scripted::initialized(&seen, json!({"tools": {}, "resources": {}})),
            "resources/read" => scripted::error(&seen, -32002, "none of mine"),
            _ => scripted::session_server(&seen, &["echo"]),
        }
    };
    let (one, two) = (
        Scripted::start(refusing).await,
        Scripted::start(refusing).await,
    );
    let (mut rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    rig.snapshot.agents[0].calls_per_day = NonZeroU32::new(2);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let read = || wire.call("resources/read", json!({"uri": "file:///nowhere"}));
    for _ in 0..2 {
        assert_eq!(read().await.code(), -32002);
    }
    assert_eq!(read().await.status, 429);
    let records = rig.records.at_least(3).await;
    assert_eq!(records.len(), 3, "one for each request: {records:?}");
}

#[tokio::test]
async fn what_is_said_is_kept_only_where_it_is_wanted() {
    let server = Scripted::start(|seen| async move {
        let said = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        match (seen.method(), seen.body["params"]["name"].as_str()) {
            ("tools/call", Some("events")) => scripted::events(&[
                json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}),
                json!({"jsonrpc": "2.0", "id": seen.id(), "result": said("by events")}),
            ]),
            ("tools/call", Some("long")) => scripted::result(&seen, said(&"x".repeat(1 << 20))),
            ("tools/call", Some("error")) => scripted::error(&seen, -32001, "sorry"),
            ("tools/call", _) => scripted::result(&seen, said("hello")),
            _ => scripted::session_server(&seen, &["echo", "events", "long", "error"]),
        }
    })
    .await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let account = rig.snapshot.instances[0].account_id;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    wire.tool("echo", json!({"word": "unheard"})).await.result();
    rig.snapshot.accounts.push(AccountRoute {
        id: account,
        keep_payloads: true,
        calls_per_day: None,
    });
    rig.apply();
    for name in ["echo", "events", "long"] {
        wire.tool(name, json!({"word": name})).await.result();
    }
    wire.tool("error", json!({"word": "error"})).await.code();
    let records = rig.records.at_least(5).await;
    assert!(records[0].payload.is_none(), "nobody wanted it kept");
    let said: Vec<&RawPayload> = records[1..]
        .iter()
        .map(|record| record.payload.as_deref().unwrap())
        .collect();
    for (payload, name) in said.iter().zip(["echo", "events", "long", "error"]) {
        let arguments: Value = serde_json::from_slice(&payload.arguments).unwrap();
        assert_eq!(arguments, json!({ "word": name }));
        assert!(
            !format!("{payload:?}").contains(name),
            "what was said is in nobody's log"
        );
    }
    let result = |n: usize| String::from_utf8(said[n].result.to_vec()).unwrap();
    assert!(
        result(0).starts_with('{') && result(0).contains("hello"),
        "{}",
        result(0)
    );
    assert!(result(1).contains("by events"), "{}", result(1));
    assert_eq!(result(2).len(), MAX_KEPT + 1, "cut, and seen to be");
    assert!(
        result(2).trim_start().starts_with('{'),
        "{}",
        &result(2)[..80]
    );
    assert!(result(3).contains("sorry"), "{}", result(3));
}
