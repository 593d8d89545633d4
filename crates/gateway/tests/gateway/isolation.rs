//! Nothing of one client reaches another: rules 9 and 13, AGT-6.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;

use crate::rig::Rig;
use crate::scripted::{Scripted, Seen, events, session_server, status};

#[tokio::test]
async fn rule_09_the_same_ids_and_tokens_at_once_never_cross() {
    const CLIENTS: usize = 6;
    let all_here = Arc::new(Barrier::new(CLIENTS));
    let server = Scripted::start(move |seen: Seen| {
        let all_here = all_here.clone();
        async move {
            if seen.method() != "tools/call" {
                return session_server(&seen, &["echo"]);
            }
            // Every call is in flight before any is answered.
            all_here.wait().await;
            let params = &seen.body["params"];
            let token = &params["_meta"]["progressToken"];
            let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params":
                {"progressToken": token, "progress": 1, "message": params["arguments"]["who"]}});
            let answer = json!({"jsonrpc": "2.0", "id": seen.id(),
                "result": {"content": [], "who": params["arguments"]["who"]}});
            events(&[progress, answer])
        }
    })
    .await;
    let mut rig = Rig::start().await;
    let instance = rig.instance("one", &server.url);
    let agents: Vec<_> = (0..CLIENTS).map(|_| rig.agent(&[instance])).collect();
    rig.apply();
    let calls = agents.iter().enumerate().map(|(who, agent)| {
        let wire = rig.wire(agent);
        async move {
            let wire = wire.opened().await;
            wire.tools().await;
            let params = json!({"name": "echo", "arguments": {"who": who},
                "_meta": {"progressToken": "same"}});
            let reply = wire.call("tools/call", params).await;
            let messages = reply.messages();
            assert_eq!(messages.len(), 2, "{messages:?}");
            let progress: serde_json::Value = serde_json::from_str(&messages[0]).unwrap();
            assert_eq!(progress["params"]["progressToken"], "same");
            assert_eq!(progress["params"]["message"], who);
            let answer = reply.answer();
            assert_eq!(
                (&answer["id"], &answer["result"]["who"]),
                (&json!(1), &json!(who))
            );
        }
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn rule_09_one_clients_parallel_calls_find_back() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let calls = (0..40).map(|n| {
        let wire = wire.clone();
        async move {
            let id = if n % 2 == 0 {
                json!(n)
            } else {
                json!(format!("{}", n - 1))
            };
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": {"name": "echo", "arguments": {"n": n}}});
            let answer = wire.post(call.to_string()).await.answer();
            assert_eq!(answer["id"], id);
            assert_eq!(
                answer["result"]["content"][0]["text"],
                format!("echo {{\"n\":{n}}}")
            );
        }
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn rule_09_a_servers_questions_find_back_under_its_own_ids() {
    // Two servers ask with the same id; each gets the answer that is meant for it.
    async fn asking(who: &'static str) -> Scripted {
        let (answered, answers) = tokio::sync::mpsc::unbounded_channel::<serde_json::Value>();
        let answers = Arc::new(tokio::sync::Mutex::new(answers));
        Scripted::start(move |seen: Seen| {
            let (answered, answers) = (answered.clone(), answers.clone());
            async move {
                if seen.body.get("result").is_some() {
                    answered.send(seen.body.clone()).unwrap();
                    return status(202);
                }
                if seen.method() != "tools/call" {
                    return session_server(&seen, &[who]);
                }
                let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                    "params": {"message": who, "_meta": {"progressToken": "t"}}});
                let stream = futures::stream::unfold(0, move |step| {
                    let (answers, question, id) = (answers.clone(), question.clone(), seen.id().clone());
                    async move {
                        let message = match step {
                            0 => question,
                            1 => {
                                let answer = answers.lock().await.recv().await.unwrap();
                                json!({"jsonrpc": "2.0", "id": id, "result": {"content": [], "got": answer}})
                            }
                            _ => return None,
                        };
                        let text = format!("data: {message}\n\n");
                        Some((Ok::<_, std::convert::Infallible>(text), step + 1))
                    }
                });
                let mut response =
                    axum::response::Response::new(axum::body::Body::from_stream(stream));
                response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
                response
            }
        })
        .await
    }
    let (one, two) = (asking("one").await, asking("two").await);
    let (rig, agent) = Rig::linked(&[("a", &one.url), ("b", &two.url)]).await;
    let mut wire = rig.wire(&agent);
    wire.initialize("2025-11-25", json!({"elicitation": {}}))
        .await;
    wire.tools().await;
    let call = |name: &str| {
        let call = json!({"jsonrpc": "2.0", "id": name, "method": "tools/call",
            "params": {"name": name, "arguments": {}}});
        wire.posting(call.to_string())
    };
    let mut first = wire.stream(call("one")).await;
    let mut second = wire.stream(call("two")).await;
    let (q1, q2) = (first.next().await.unwrap(), second.next().await.unwrap());
    assert_eq!(
        (&q1["params"]["message"], &q2["params"]["message"]),
        (&json!("one"), &json!("two"))
    );
    assert_ne!(q1["id"], q2["id"]);
    assert_ne!(
        q1["params"]["_meta"]["progressToken"],
        q2["params"]["_meta"]["progressToken"]
    );
    // Another session can't answer for this one.
    let stranger = rig.wire(&agent).opened().await;
    let forged = json!({"jsonrpc": "2.0", "id": q1["id"], "result": {"action": "forged"}});
    assert_eq!(stranger.post(forged.to_string()).await.status, 202);
    for (question, who) in [(&q2, "two"), (&q1, "one")] {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params":
            {"progressToken": question["params"]["_meta"]["progressToken"], "progress": 1}});
        assert_eq!(wire.post(progress.to_string()).await.status, 202);
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": who}});
        assert_eq!(wire.post(answer.to_string()).await.status, 202);
    }
    for (stream, who, server) in [(&mut first, "one", &one), (&mut second, "two", &two)] {
        let answer = stream.next().await.unwrap();
        assert_eq!(answer["id"], who);
        assert_eq!(
            answer["result"]["got"],
            json!({"jsonrpc": "2.0", "id": "q", "result": {"action": who}})
        );
        server
            .until("the progress", |seen| {
                seen.iter().any(|s| {
                    s.body["params"]["progressToken"] == "t"
                        && s.method() == "notifications/progress"
                })
            })
            .await;
    }
    // Each server was told what the client can do, in its own words.
    assert_eq!(
        one.of("initialize")[0].body["params"]["capabilities"],
        json!({"elicitation": {}})
    );
}

#[tokio::test]
async fn rule_13_no_upstream_session_is_shared() {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Scripted::start(move |seen: Seen| {
        let next = next.clone();
        async move {
            let mut response = session_server(&seen, &["echo"]);
            if seen.method() == "initialize" {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let session = format!("s{n}").parse().unwrap();
                response.headers_mut().insert("mcp-session-id", session);
            }
            response
        }
    })
    .await;
    let mut rig = Rig::start().await;
    let instance = rig.instance("one", &server.url);
    let (a, b) = (rig.agent(&[instance]), rig.agent(&[instance]));
    rig.apply();
    // Two sessions of one agent, one of another, and modern clients with different capabilities.
    for wire in [&a, &a, &b].map(|agent| rig.wire(agent)) {
        wire.opened().await.tools().await;
    }
    for (agent, capabilities) in [
        (&a, json!({})),
        (&a, json!({"x": {}})),
        (&b, json!({})),
        (&a, json!({})),
    ] {
        let wire = rig.wire(agent);
        let list = wire.modern_as("tools/list", json!({}), capabilities);
        assert_eq!(wire.send(list).await.status, 200);
    }
    let lists = server.of("tools/list");
    let mut sessions: Vec<_> = lists
        .iter()
        .map(|s| s.session().unwrap().to_owned())
        .collect();
    assert_eq!(sessions.len(), 7);
    assert_eq!(
        sessions[3], sessions[6],
        "the same credential and capabilities go on"
    );
    sessions.truncate(6);
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 6);
    let keys: std::collections::BTreeSet<_> = lists
        .iter()
        .map(|s| {
            s.headers["agentopia-session-key"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        keys.len(),
        6,
        "stdio processes are kept apart by the same measure"
    );
    let declared = server.of("initialize");
    let known = declared
        .iter()
        .filter(|s| s.body["params"]["capabilities"]["x"].is_object());
    assert_eq!(
        known.count(),
        1,
        "upstream knows the capabilities of the one who asks"
    );
}

#[tokio::test]
async fn a_session_belongs_to_its_token() {
    let mut rig = Rig::start().await;
    let (a, b) = (rig.agent(&[]), rig.agent(&[]));
    rig.apply();
    let session = rig.wire(&a).opened().await.session;
    let mut thief = rig.wire(&b);
    thief.session = session.clone();
    assert_eq!(thief.call("ping", json!({})).await.status, 404);
    let mut foreign = crate::wire::Wire::new(rig.http.clone(), rig.agent_url(&a), &b.token);
    foreign.session = session;
    assert_eq!(foreign.call("ping", json!({})).await.status, 404);
}
