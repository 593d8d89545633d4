//! Multi round trips of 2026-07-28: a server asks back, and its state comes back through the client
//! (rule 10); questions from one era to the other (rules 11 and 12).

use std::sync::Arc;
use std::time::Duration;

use agentopia_gateway::GatewayConfig;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::access::steered;
use crate::rig::{Agent, Rig};
use crate::scripted::{Scripted, Seen, events, json_text, modern_server, session_server, status};
use crate::wire::{Reply, Wire};

/// As no writer of JSON would write it.
const STATE: &str = r#""st\u0061te\/1""#;

/// Asks back until it is shown its state. `filler` makes the question long; `streams` has it come as
/// an event.
async fn asks_back(filler: usize, streams: bool) -> Scripted {
    Scripted::start(move |seen: Seen| async move {
        if seen.method() != "tools/call" {
            return modern_server(&seen, &["ask", "other"]);
        }
        if seen.body["params"].get("inputResponses").is_some() {
            let result = json!({"resultType": "complete", "content": []});
            return crate::scripted::result(&seen, result);
        }
        let filler = "x".repeat(filler);
        let answer = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"inputRequests":{{"q":{{"method":"elicitation/create","params":{{"message":"{filler}"}}}}}},"resultType":"input_required","requestState":{STATE}}}}}"#,
            seen.id()
        );
        match streams {
            true => events(&[serde_json::from_str(&answer).unwrap()]),
            false => json_text(answer),
        }
    })
    .await
}

fn params(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

/// The same request again, with the answers.
async fn again(wire: &Wire, mut params: Value, state: &Value) -> Reply {
    params["requestState"] = state.clone();
    params["inputResponses"] = json!({"q": {"action": "accept"}});
    wire.modern_call("tools/call", params).await
}

async fn asked(wire: &Wire, params: Value) -> Value {
    let result = wire.modern_call("tools/call", params).await.result();
    assert_eq!(result["resultType"], "input_required");
    result["requestState"].clone()
}

fn calls_with_answers(server: &Scripted) -> Vec<Seen> {
    let mut calls = server.of("tools/call");
    calls.retain(|seen| seen.body["params"].get("inputResponses").is_some());
    calls
}

#[tokio::test]
async fn rule_10_a_servers_state_comes_back_byte_for_byte() {
    for (filler, streams) in [(10, false), (200_000, false), (10, true)] {
        let server = asks_back(filler, streams).await;
        let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
        let instance = rig.snapshot.instances[0].id;
        for wire in [rig.wire(&agent), rig.wire_to(instance, &agent.token)] {
            let state = asked(&wire, params("ask", json!({"a": 1, "b": {"c": 2, "d": 3}}))).await;
            assert!(!state.as_str().unwrap().contains("state"), "{state}");
            // Members may change places on the way.
            let same = params("ask", json!({"b": {"d": 3, "c": 2}, "a": 1}));
            let reply = again(&wire, same, &state).await;
            assert_eq!(reply.result()["resultType"], "complete");
            let call = calls_with_answers(&server).pop().unwrap();
            match streams {
                // What the scripted server streams was written anew.
                true => assert_eq!(call.body["params"]["requestState"], "state/1"),
                false => assert!(call.text.contains(STATE), "{}", call.text),
            }
        }
    }
}

#[tokio::test]
async fn rule_10_a_state_is_good_for_its_own_request_only() {
    let (server, second) = (asks_back(1, false).await, asks_back(1, false).await);
    let mut rig = Rig::start().await;
    let (one, two) = (
        rig.instance("one", &server.url),
        rig.instance("two", &second.url),
    );
    let (agent, stranger) = (rig.agent(&[one, two]), rig.agent(&[one]));
    rig.apply();
    let of = |instance, agent: &Agent| rig.wire_to(instance, &agent.token);
    let wire = of(one, &agent);
    let own = params("ask", json!({"a": 1}));
    let state = asked(&wire, own.clone()).await;
    let text = state.as_str().unwrap();
    let (first, rest) = text.split_at(1);
    let tampered = format!("{}{rest}", if first == "A" { "B" } else { "A" });

    let cases = [
        ("tampered", &wire, own.clone(), json!(tampered)),
        ("cut", &wire, own.clone(), json!(text[..text.len() - 2])),
        ("made up", &wire, own.clone(), json!("state/1")),
        ("no text", &wire, own.clone(), json!({"state": 1})),
        (
            "other arguments",
            &wire,
            params("ask", json!({"a": 2})),
            state.clone(),
        ),
        (
            "another tool",
            &wire,
            params("other", json!({"a": 1})),
            state.clone(),
        ),
        (
            "another server",
            &of(two, &agent),
            own.clone(),
            state.clone(),
        ),
        (
            "another agent",
            &of(one, &stranger),
            own.clone(),
            state.clone(),
        ),
    ];
    for (what, wire, params, state) in cases {
        let reply = again(wire, params, &state).await;
        assert_eq!(reply.code(), -32602, "{what}: {}", reply.body);
    }
    assert!(calls_with_answers(&server).is_empty());
    assert!(calls_with_answers(&second).is_empty());
    assert_eq!(
        again(&wire, own, &state).await.result()["content"],
        json!([])
    );
}

#[tokio::test]
async fn rule_10_a_state_expires() {
    let (clock, ambient) = steered();
    let config = GatewayConfig {
        request_state_lifetime: Duration::from_secs(60),
        ..GatewayConfig::default()
    };
    let server = asks_back(1, false).await;
    let mut rig = Rig::with(config, ambient).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent);
    let own = params("ask", json!({}));
    let state = asked(&wire, own.clone()).await;
    *clock.0.lock() += TimeDelta::seconds(59);
    again(&wire, own.clone(), &state).await.result();
    *clock.0.lock() += TimeDelta::seconds(2);
    assert_eq!(again(&wire, own, &state).await.code(), -32602);
    assert_eq!(calls_with_answers(&server).len(), 1);
}

/// A session whose client answers questions.
async fn asked_in_a_session(rig: &Rig, agent: &Agent) -> Wire {
    let mut wire = rig.wire(agent);
    wire.initialize("2025-11-25", json!({"elicitation": {"form": {}}}))
        .await;
    wire
}

async fn stream_of_a_call(wire: &Wire) -> crate::wire::Stream {
    let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call",
        "params": params("ask", json!({"a": 1}))});
    wire.stream(wire.posting(call.to_string())).await
}

async fn answer(wire: &Wire, question: &Value, answer: Value) {
    let mut answer = answer;
    answer["jsonrpc"] = "2.0".into();
    answer["id"] = question["id"].clone();
    assert_eq!(wire.post(answer.to_string()).await.status, 202);
}

#[tokio::test]
async fn rule_12_a_modern_servers_question_reaches_a_session_on_its_calls_stream() {
    for streams in [false, true] {
        let server = asks_back(5, streams).await;
        let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
        let wire = asked_in_a_session(&rig, &agent).await;
        let mut stream = stream_of_a_call(&wire).await;
        let question = stream.next().await.unwrap();
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"], json!({"message": "xxxxx"}));
        let accept = json!({"action": "accept", "content": {"n": 1}});
        answer(&wire, &question, json!({"result": accept})).await;
        let last = stream.next().await.unwrap();
        assert_eq!(
            (&last["id"], &last["result"]["content"]),
            (&json!("c"), &json!([]))
        );
        assert_eq!(last["result"].get("resultType"), None);
        assert!(stream.next().await.is_none());

        let calls = server.of("tools/call");
        let [first, second] = &calls[..] else {
            panic!("{calls:?}")
        };
        assert_ne!(first.id(), second.id());
        let capabilities = "io.modelcontextprotocol/clientCapabilities";
        for call in &calls {
            let declared = &call.body["params"]["_meta"][capabilities];
            assert_eq!(declared["elicitation"], json!({"form": {}}));
            assert_eq!(call.body["params"]["arguments"], json!({"a": 1}));
        }
        assert_eq!(
            second.body["params"]["inputResponses"],
            json!({"q": accept})
        );
        if !streams {
            assert!(second.text.contains(STATE), "{}", second.text);
        }
        let records = rig.records.at_least(1).await;
        assert_eq!(records.len(), 1, "one call, however often it was sent");
    }
}

#[tokio::test]
async fn rule_12_a_question_that_is_not_answered_ends_the_call() {
    let server = asks_back(1, false).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = asked_in_a_session(&rig, &agent).await;

    let mut stream = stream_of_a_call(&wire).await;
    let question = stream.next().await.unwrap();
    let refusal = json!({"error": {"code": -1, "message": "no screen"}});
    answer(&wire, &question, refusal).await;
    let last = stream.next().await.unwrap();
    let message = last["error"]["message"].as_str().unwrap();
    assert!(message.contains("no screen"), "{last}");

    let mut stream = stream_of_a_call(&wire).await;
    let question = stream.next().await.unwrap();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": "c"}});
    assert_eq!(wire.post(cancel.to_string()).await.status, 202);
    assert!(stream.next().await.is_none());
    // Nobody waits for it any more.
    answer(&wire, &question, json!({"result": {"action": "accept"}})).await;
    assert!(calls_with_answers(&server).is_empty());
}

#[tokio::test]
async fn rule_12_a_server_that_goes_on_asking_is_stopped() {
    let server = Scripted::start(|seen: Seen| async move {
        match seen.method() {
            "tools/call" => crate::scripted::result(
                &seen,
                json!({"resultType": "input_required", "requestState": "s"}),
            ),
            _ => modern_server(&seen, &["ask"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = asked_in_a_session(&rig, &agent).await;
    let reply = wire.tool("ask", json!({})).await;
    assert!(reply.body.contains("goes on asking"), "{}", reply.body);
    assert_eq!(server.of("tools/call").len(), 21);
}

/// A session-era server whose tool asks `questions` times before it answers with what it was told.
async fn asks_in_its_stream(questions: usize) -> Scripted {
    let (answered, answers) = tokio::sync::mpsc::unbounded_channel::<Value>();
    let answers = Arc::new(tokio::sync::Mutex::new(answers));
    Scripted::start(move |seen: Seen| {
        let (answered, answers) = (answered.clone(), answers.clone());
        async move {
            if seen.body.get("result").is_some() {
                answered.send(seen.body.clone()).unwrap();
                return status(202);
            }
            if seen.method() != "tools/call" {
                return session_server(&seen, &["ask"]);
            }
            let messages = futures::stream::unfold((0, Vec::new()), move |(step, mut told)| {
                let (answers, seen) = (answers.clone(), seen.clone());
                async move {
                    if step > questions {
                        return None;
                    }
                    if step > 0 {
                        told.push(answers.lock().await.recv().await.unwrap());
                    }
                    let token = &seen.body["params"]["_meta"]["progressToken"];
                    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": step}});
                    let message = match step == questions {
                        true => json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"told": told}}),
                        false => json!({"jsonrpc": "2.0", "id": format!("q{step}"),
                            "method": "elicitation/create", "params": {"message": format!("m{step}")}}),
                    };
                    let text = format!("data: {progress}\n\ndata: {message}\n\n");
                    Some((Ok::<_, std::convert::Infallible>(text), (step + 1, told)))
                }
            });
            let mut response = events(&[]);
            *response.body_mut() = axum::body::Body::from_stream(messages);
            response
        }
    })
    .await
}

/// A modern request of a client that answers questions.
async fn elicited(wire: &Wire, mut params: Value, token: &str) -> Reply {
    params["_meta"] = json!({"progressToken": token});
    let capabilities = json!({"elicitation": {"form": {}}});
    wire.send(wire.modern_as("tools/call", params, capabilities))
        .await
}

fn with_answer(mut params: Value, asked: &Value, answer: Value) -> Value {
    params["requestState"] = asked["requestState"].clone();
    params["inputResponses"] = json!({"question": answer});
    params
}

#[tokio::test]
async fn rule_11_a_session_era_servers_question_reaches_a_modern_client() {
    let server = asks_in_its_stream(2).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);
    let own = params("ask", json!({"a": 1}));
    let mut next = own.clone();
    for round in 0..2 {
        let token = format!("token {round}");
        let reply = elicited(&wire, next.clone(), &token).await;
        let messages = reply.messages();
        let progress: Value = serde_json::from_str(&messages[0]).unwrap();
        assert_eq!(progress["params"]["progressToken"], *token, "{progress}");
        let asked = reply.result();
        assert_eq!(asked["resultType"], "input_required");
        let question = &asked["inputRequests"]["question"];
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], format!("m{round}"));
        let answer = json!({"action": "accept", "content": {"round": round}});
        next = with_answer(own.clone(), &asked, answer);
    }
    let reply = elicited(&wire, next.clone(), "last").await;
    let told = &reply.result()["told"];
    for round in 0..2 {
        assert_eq!(told[round]["id"], format!("q{round}"));
        assert_eq!(told[round]["result"]["content"]["round"], round);
    }
    assert_eq!(
        server.of("tools/call").len(),
        1,
        "one call goes through all"
    );
    assert_eq!(
        server.of("initialize")[0].body["params"]["capabilities"],
        json!({"elicitation": {"form": {}}})
    );
    // What was answered is over.
    assert_eq!(elicited(&wire, next, "late").await.code(), -32602);
    assert_eq!(rig.records.at_least(1).await.len(), 1);
}

#[tokio::test]
async fn rule_11_a_question_that_nobody_answers_cancels_its_call() {
    let config = GatewayConfig {
        request_state_lifetime: Duration::from_secs(1),
        ..GatewayConfig::default()
    };
    let server = asks_in_its_stream(1).await;
    let mut rig = Rig::with(config, agentopia_domain::Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent);
    let own = params("ask", json!({}));
    let asked = elicited(&wire, own.clone(), "t").await.result();
    // An answer without the question's name leaves it open; another request's state opens nothing.
    let mut nameless = with_answer(own.clone(), &asked, json!({}));
    nameless["inputResponses"] = json!({});
    assert_eq!(elicited(&wire, nameless, "t").await.code(), -32602);
    let other = with_answer(params("ask", json!({"b": 1})), &asked, json!({}));
    assert_eq!(elicited(&wire, other, "t").await.code(), -32602);
    let number = server.of("tools/call")[0].id().clone();
    server
        .until("the cancellation", |seen| {
            seen.iter().any(|s| {
                s.method() == "notifications/cancelled" && s.body["params"]["requestId"] == number
            })
        })
        .await;
    let late = with_answer(own, &asked, json!({"action": "accept"}));
    assert_eq!(elicited(&wire, late, "t").await.code(), -32602);
    assert_eq!(server.of("tools/call").len(), 1);
}
