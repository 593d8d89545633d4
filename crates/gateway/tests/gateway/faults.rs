//! Servers that fail harm nobody else: rules 15, 16, 17.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_gateway::{CallOutcome, GatewayConfig};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rig::Rig;
use crate::scripted::{
    Scripted, error, events, initialized, json_text, result, session_server, status,
};

const DEADLINE: Duration = Duration::from_millis(700);

async fn impatient() -> Rig {
    let config = GatewayConfig {
        fan_out_deadline: DEADLINE,
        first_contact_deadline: DEADLINE,
        ..GatewayConfig::default()
    };
    Rig::with(config, Ambient::system()).await
}

/// Nobody listens there.
async fn dead_url() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/mcp", listener.local_addr().unwrap())
}

async fn forever() -> axum::response::Response {
    std::future::pending().await
}

#[tokio::test]
async fn rule_16_bad_servers_neither_fail_nor_delay_a_list() {
    let good = Scripted::with_tools(&["echo"]).await;
    let last = Scripted::with_tools(&["last"]).await;
    let hangs = Scripted::start(|_| forever()).await;
    let hangs_at_list = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            forever().await
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let broken = Scripted::start(|_| async { status(500) }).await;
    let garbage = Scripted::start(|_| async { json_text("<html>{]") }).await;
    let wrong_id = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            json_text(r#"{"jsonrpc":"2.0","id":999999,"result":{"tools":[{"name":"evil"}]}}"#)
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let refuses = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            error(&seen, -32000, "not today")
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let endless = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            result(
                &seen,
                json!({"tools": [], "nextCursor": seen.id().to_string()}),
            )
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let dead = dead_url().await;
    let mut rig = impatient().await;
    let instances: Vec<_> = [
        ("good", &good.url),
        ("hangs", &hangs.url),
        ("hangs_at_list", &hangs_at_list.url),
        ("broken", &broken.url),
        ("garbage", &garbage.url),
        ("wrong_id", &wrong_id.url),
        ("refuses", &refuses.url),
        ("dead", &dead),
        ("stopped", &good.url),
        ("endless", &endless.url),
        ("last", &last.url),
    ]
    .into_iter()
    .map(|(name, url)| rig.instance(name, url))
    .collect();
    rig.snapshot.instances[8].available = Err("stopped by its owner".into());
    let agent = rig.agent(&instances);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    for _ in 0..2 {
        let started = Instant::now();
        let reply = wire.call("tools/list", json!({})).await;
        assert!(
            started.elapsed() < DEADLINE + Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        let listed = reply.result();
        assert_eq!(crate::wire::names(&listed["tools"]), ["echo", "last"]);
        let failures = listed["_meta"]["io.agentopia/failures"]
            .as_array()
            .unwrap()
            .clone();
        let mut failed: Vec<_> = failures
            .iter()
            .map(|f| f["name"].as_str().unwrap())
            .collect();
        failed.retain(|name| *name != "endless");
        let wanted = [
            "hangs",
            "hangs_at_list",
            "broken",
            "garbage",
            "wrong_id",
            "refuses",
            "dead",
            "stopped",
        ];
        assert_eq!(failed, wanted);
        assert!(
            failures
                .iter()
                .all(|f| f["reason"].as_str().is_some_and(|r| !r.is_empty()))
        );
        assert!(
            !reply.body.contains("127.0.0.1"),
            "addresses stay inside: {}",
            reply.body
        );
    }
    wire.tool("echo", json!({})).await.result();
    wire.tool("last", json!({})).await.result();
}

#[tokio::test]
async fn rule_16_a_server_that_is_down_is_left_alone_for_a_while_and_then_tried_again() {
    let well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = well.clone();
    let server = Scripted::start(move |seen| {
        let well = state.load(Ordering::SeqCst);
        async move {
            match well {
                true => session_server(&seen, &["echo"]),
                false => status(502),
            }
        }
    })
    .await;
    let rest = Duration::from_millis(500);
    let config = GatewayConfig {
        breaker_rest: rest,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let reason = async || {
        let listed = wire.call("tools/list", json!({})).await.result();
        let failure = &listed["_meta"]["io.agentopia/failures"][0];
        failure["reason"].as_str().unwrap_or_default().to_owned()
    };
    for _ in 0..3 {
        let reason = reason().await;
        assert!(reason.contains("502"), "{reason}");
    }
    let asked = server.seen().len();
    let last = reason().await;
    assert!(last.contains("tried again in 1 s"), "{last}");
    assert_eq!(server.seen().len(), asked, "it was not asked meanwhile");
    well.store(true, Ordering::SeqCst);
    tokio::time::sleep(rest).await;
    assert_eq!(reason().await, "");
    wire.tool("echo", json!({})).await.result();
}

#[tokio::test]
async fn rule_16_when_all_are_dead_the_list_is_empty_and_says_why() {
    let dead = dead_url().await;
    let (rig, agent) = Rig::linked(&[("gone", &dead)]).await;
    for reply in [
        rig.wire(&agent)
            .opened()
            .await
            .call("tools/list", json!({}))
            .await,
        rig.wire(&agent).modern_call("tools/list", json!({})).await,
    ] {
        let listed = reply.result();
        assert_eq!(listed["tools"], json!([]));
        assert_eq!(listed["_meta"]["io.agentopia/failures"][0]["name"], "gone");
    }
}

#[tokio::test]
async fn rule_16_a_server_without_a_stream_triggers_no_list_changed() {
    // `with_tools` answers GET with 405.
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let mut standing = wire.standing().await;
    assert_eq!(wire.tools().await, ["echo"]);
    server
        .until("the GET", |seen| seen.iter().any(|s| s.http == "GET"))
        .await;
    wire.tool("echo", json!({})).await.result();
    // What comes first on the stream is what we cause now, and nothing of the server's 405.
    rig.policy(0).always_prefix = true;
    rig.apply();
    let first = standing.next().await.unwrap();
    assert_eq!(first["method"], "notifications/tools/list_changed");
    let seconds = [
        standing.next().await.unwrap(),
        standing.next().await.unwrap(),
    ];
    assert_eq!(seconds[0]["method"], "notifications/resources/list_changed");
    assert_eq!(seconds[1]["method"], "notifications/prompts/list_changed");
    assert_eq!(server.seen().iter().filter(|s| s.http == "GET").count(), 1);
}

#[tokio::test]
async fn rule_15_a_client_that_goes_away_cancels_upstream_within_a_second() {
    for streams in [false, true] {
        let server = Scripted::start(move |seen| async move {
            match seen.method() {
                "tools/call" if streams => {
                    let head = json!({"jsonrpc": "2.0", "method": "notifications/message",
                        "params": {"level": "info", "data": "working"}});
                    let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(
                        format!("data: {head}\n\n"),
                    )]);
                    let body = futures::StreamExt::chain(first, futures::stream::pending());
                    let mut response =
                        axum::response::Response::new(axum::body::Body::from_stream(body));
                    response
                        .headers_mut()
                        .insert("content-type", "text/event-stream".parse().unwrap());
                    response
                }
                "tools/call" => forever().await,
                _ => session_server(&seen, &["slow"]),
            }
        })
        .await;
        let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
        let wire = rig.wire(&agent).opened().await;
        wire.tools().await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "slow", "arguments": {}}});
        let request = wire.posting(call.to_string());
        let pending = tokio::spawn(async move { request.send().await.unwrap().text().await });
        server
            .until("the call", |s| s.iter().any(|s| s.method() == "tools/call"))
            .await;
        let number = server.of("tools/call")[0].id().clone();
        let left = Instant::now();
        pending.abort();
        server
            .until("the cancellation", |seen| {
                seen.iter().any(|s| {
                    s.method() == "notifications/cancelled"
                        && s.body["params"]["requestId"] == number
                })
            })
            .await;
        assert!(
            left.elapsed() < Duration::from_secs(1),
            "{streams} {:?}",
            left.elapsed()
        );
        assert_eq!(
            rig.records.at_least(1).await[0].outcome,
            CallOutcome::Cancelled
        );
    }
}

#[tokio::test]
async fn rule_15_a_client_that_cancels_is_heard_upstream() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => forever().await,
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let calling = wire.clone();
    let call = tokio::spawn(async move { calling.tool("slow", json!({})).await });
    server
        .until("the call", |s| s.iter().any(|s| s.method() == "tools/call"))
        .await;
    let number = server.of("tools/call")[0].id().clone();
    let note =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(wire.post(note.to_string()).await.status, 202);
    server
        .until("the cancellation", |seen| {
            seen.iter().any(|s| {
                s.method() == "notifications/cancelled" && s.body["params"]["requestId"] == number
            })
        })
        .await;
    let ended = call.await.unwrap();
    assert_eq!(
        (ended.status, ended.messages().len()),
        (200, 0),
        "a cancelled call has no answer"
    );
}

/// A server that forgets its session at the n-th POST with one.
async fn forgetful(
    forgets_at: usize,
    how: fn(&crate::scripted::Seen) -> axum::response::Response,
) -> Scripted {
    let posts = Arc::new(AtomicUsize::new(0));
    Scripted::start(move |seen| {
        let posts = posts.clone();
        async move {
            let counts = seen.session().is_some() && !seen.id().is_null();
            if counts && posts.fetch_add(1, Ordering::SeqCst) + 1 == forgets_at {
                return how(&seen);
            }
            session_server(&seen, &["echo"])
        }
    })
    .await
}

#[tokio::test]
async fn rule_17_a_lost_session_is_opened_anew_and_the_call_made_once() {
    let gone: fn(&crate::scripted::Seen) -> axum::response::Response = |_| status(404);
    let bad: fn(&crate::scripted::Seen) -> axum::response::Response = |seen| {
        let mut response = error(seen, -32000, "Bad Request: No valid session ID provided");
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    };
    for how in [gone, bad] {
        let server = forgetful(2, how).await;
        let other = Scripted::with_tools(&["other"]).await;
        let (rig, agent) = Rig::linked(&[("one", &server.url), ("two", &other.url)]).await;
        let wire = rig.wire(&agent).opened().await;
        wire.tools().await;
        let called = wire.tool("echo", json!({"n": 1})).await;
        assert_eq!(called.result()["content"][0]["text"], "echo {\"n\":1}");
        assert_eq!(server.of("initialize").len(), 2);
        assert_eq!(
            server.of("tools/call").len(),
            2,
            "one refused, one executed"
        );
        assert_eq!(
            other.of("initialize").len(),
            1,
            "other servers notice nothing"
        );
    }
}

#[tokio::test]
async fn rule_17_a_call_that_may_have_been_executed_is_not_repeated() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            // The stream ends before the answer: who knows what was done.
            "tools/call" => events(&[]),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let reply = wire.tool("echo", json!({})).await;
    let message = reply.answer()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(reply.code(), -32603);
    assert!(
        message.starts_with("one: ") && message.contains("broke"),
        "{message}"
    );
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn rule_17_a_session_that_stays_lost_is_a_clear_error() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => status(404),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    assert_eq!(wire.tool("echo", json!({})).await.code(), -32603);
    assert_eq!(server.of("tools/call").len(), 3, "one try, two retries");
}

#[tokio::test]
async fn a_restarted_instance_gets_new_sessions_without_its_clients_noticing() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    rig.snapshot.instances[0].epoch = "2".into();
    rig.apply();
    wire.tool("echo", json!({})).await.result();
    assert_eq!(server.of("initialize").len(), 2);
}

#[tokio::test]
async fn answers_that_are_too_large_end_the_call_alone() {
    // Below and above the size from which answers are streamed.
    for limit in [60 << 10, 200 << 10] {
        too_large_an_answer(limit).await;
    }
}

async fn too_large_an_answer(limit: usize) {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => result(&seen, json!({"f": "x".repeat(1 << 20)})),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let config = GatewayConfig {
        max_upstream_message_bytes: limit,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    assert_eq!(wire.tool("echo", json!({})).await.code(), -32603);
    let call = json!({"name": "echo", "arguments": {}});
    let refused = wire.modern_call("tools/call", call).await;
    assert_eq!(refused.code(), -32603);
    assert_eq!(wire.tools().await, ["echo"]);
}

#[tokio::test]
async fn garbage_between_messages_is_left_out() {
    let server = Scripted::start(|seen| async move {
        let answer = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"content": []}});
        match seen.method() {
            "tools/call" => events(&[
                json!("no message"),
                json!({"jsonrpc": "1.0", "id": 5}),
                json!({"jsonrpc": "2.0", "id": 12345, "result": {"content": "another's"}}),
                answer,
            ]),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let reply = wire.tool("echo", json!({})).await;
    assert_eq!(reply.messages().len(), 1);
    assert_eq!(reply.result()["content"], json!([]));
}

#[tokio::test]
async fn an_initialize_that_fails_for_now_teaches_nothing() {
    let tries = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |seen| {
        let tries = tries.clone();
        async move {
            if seen.method() == "initialize" && tries.fetch_add(1, Ordering::SeqCst) == 0 {
                return status(503);
            }
            if seen.method() == "initialize" {
                return initialized(&seen, json!({"tools": {}}));
            }
            session_server(&seen, &["echo"])
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, Vec::<String>::new());
    assert_eq!(wire.tools().await, ["echo"]);
}

/// Makes a call that its server holds until `change` was done to the routes, and then refuses once as
/// of a session that it does not know (the connector waits for a tool that is away).
async fn called_during(change: impl FnOnce(&mut Rig)) -> crate::wire::Reply {
    let changed = Arc::new(Notify::new());
    let heard = changed.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |seen| {
        let (heard, calls) = (heard.clone(), calls.clone());
        async move {
            if seen.method() == "tools/call" && calls.fetch_add(1, Ordering::SeqCst) == 0 {
                heard.notified().await;
                return status(404);
            }
            session_server(&seen, &["echo"])
        }
    })
    .await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let changing = async {
        let is_call = |seen: &crate::scripted::Seen| seen.method() == "tools/call";
        server
            .until("the call", |seen| seen.iter().any(is_call))
            .await;
        change(&mut rig);
        rig.apply();
        changed.notify_one();
    };
    let (called, ()) = tokio::join!(wire.tool("echo", json!({"n": 1})), changing);
    called
}

/// A call can be on its way for seconds while its server is being restarted: what was agreed with the
/// server before is then void, the call is not.
#[tokio::test]
async fn a_call_that_is_under_way_during_a_restart_is_answered() {
    let called = called_during(|rig| rig.snapshot.instances[0].epoch = "2".into()).await;
    assert_eq!(called.result()["content"][0]["text"], "echo {\"n\":1}");
}

#[tokio::test]
async fn a_call_that_is_under_way_when_its_server_is_unlinked_is_answered_with_an_error() {
    let called = called_during(|rig| rig.snapshot.agents[0].links.clear()).await;
    assert_eq!(called.code(), -32603);
    let answer = called.answer();
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("unlinked"), "{said}");
}

#[tokio::test]
async fn a_call_of_what_was_never_listed_says_which_server_could_not_be_asked() {
    let good = Scripted::with_tools(&["echo"]).await;
    let dead = dead_url().await;
    let mut rig = impatient().await;
    let instances = [("good", &good.url), ("notes", &good.url), ("files", &dead)]
        .map(|(name, url)| rig.instance(name, url));
    let login = "log in with `agentopia tools login notes`";
    rig.snapshot.instances[1].available = Err(login.into());
    let agent = rig.agent(&instances);
    rig.policy(2).allowed_tools = Some(vec!["read".into()]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let told = async |tool: &str| {
        let reply = wire.tool(tool, json!({})).await;
        let error = reply.answer()["error"].clone();
        let data = &error["data"]["io.agentopia/failures"];
        let failed = data.as_array().cloned().unwrap_or_default();
        let names: Vec<_> = failed.iter().map(|f| f["name"].clone()).collect();
        let message = error["message"].as_str().unwrap().to_owned();
        (error["code"].clone(), message, json!(names))
    };
    // It could be of both that are silent.
    let (code, message, names) = told("read").await;
    assert_eq!((code, names), (json!(-32603), json!(["notes", "files"])));
    assert!(message.contains(login), "{message}");
    assert!(
        message.contains("files: the server can't be reached"),
        "{message}"
    );
    // One is named, or the other's link lets no such tool through.
    for tool in ["notes__read", "write"] {
        let (code, message, names) = told(tool).await;
        assert_eq!(
            (code, names),
            (json!(-32603), json!(["notes"])),
            "{message}"
        );
        assert!(message.contains(login), "{message}");
    }
    // Who has the tool answers.
    wire.tool("echo", json!({})).await.result();
    // All could be asked: nobody has it.
    rig.snapshot.instances[1].available = Ok(());
    rig.policy(2).allowed_tools = Some(Vec::new());
    rig.apply();
    let (code, message, _) = told("write").await;
    assert_eq!(code, json!(-32602));
    assert_eq!(message, "unknown tool: write");
}

#[tokio::test]
async fn in_search_mode_a_tool_that_nobody_listed_is_found_by_its_name() {
    let good = Scripted::with_tools(&["echo"]).await;
    let dead = dead_url().await;
    let (mut rig, agent) = Rig::linked(&[("good", &good.url), ("files", &dead)]).await;
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    wire.tool("echo", json!({})).await.result();
    let call = json!({"name": "read", "arguments": {}});
    let reply = wire.tool("call_tool", call).await;
    assert_eq!(reply.code(), -32603, "{}", reply.body);
    assert!(reply.body.contains("files: "), "{}", reply.body);
}
