//! Search mode: two tools in place of all (AGT-11).

use serde_json::{Value, json};

use crate::rig::Rig;
use crate::scripted::{Scripted, json_text, session_server};
use crate::wire::{Wire, names};

/// Offers tools whose descriptions matter, and answers calls with what it was called with.
async fn server(tools: Value) -> Scripted {
    Scripted::start(move |seen| {
        let tools = tools.clone();
        async move {
            let answer = |result: Value| {
                json_text(json!({"jsonrpc": "2.0", "id": seen.id(), "result": result}).to_string())
            };
            match seen.method() {
                "tools/list" => answer(json!({"tools": tools})),
                "tools/call" => {
                    let said = seen.body["params"]["arguments"].to_string();
                    answer(json!({"content": [{"type": "text", "text": said}], "x": 1.0}))
                }
                _ => session_server(&seen, &[]),
            }
        }
    })
    .await
}

async fn time() -> Scripted {
    server(json!([
        {"name": "now", "description": "Tells the current time", "inputSchema": {"type": "object"}, "x-own": 1},
        {"name": "convert", "description": "Converts a time between zones", "inputSchema": {"type": "object"}},
    ]))
    .await
}

async fn mail() -> Scripted {
    server(json!([
        {"name": "send", "description": "Writes an e-mail to somebody", "inputSchema": {"type": "object"}},
        {"name": "now", "description": "Fetches mail at once", "inputSchema": {"type": "object"}},
    ]))
    .await
}

async fn found(wire: &Wire, arguments: Value) -> Value {
    let result = wire.tool("find_tool", arguments).await.result();
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"], "both say the same");
    text
}

#[tokio::test]
async fn an_agent_in_search_mode_finds_its_tools_and_calls_them() {
    let (time, mail) = (time().await, mail().await);
    let (mut rig, agent) = Rig::linked(&[("time", &time.url), ("mail", &mail.url)]).await;
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["find_tool", "call_tool"]);
    let seen = found(&wire, json!({"query": "what time is it"})).await;
    assert_eq!(names(&seen["tools"])[0], "now");
    assert_eq!(seen["tools"][0]["x-own"], 1, "nothing of a tool is lost");
    let seen = found(&wire, json!({"query": "mail__now"})).await;
    assert_eq!(
        names(&seen["tools"])[0],
        "mail__now",
        "an exact name comes first"
    );
    let seen = found(&wire, json!({"query": "", "limit": 3})).await;
    assert_eq!((names(&seen["tools"]).len(), &seen["more"]), (3, &json!(1)));

    let big = json!({"n": 9_007_199_254_740_993_u64});
    let called = wire
        .tool("call_tool", json!({"name": "mail__now", "arguments": big}))
        .await;
    let result = called.result();
    assert_eq!(result["content"][0]["text"], r#"{"n":9007199254740993}"#);
    assert_eq!(mail.of("tools/call")[0].body["params"]["name"], "now");
    let without = wire
        .tool("call_tool", json!({"name": "convert"}))
        .await
        .result();
    assert_eq!(without["content"][0]["text"], "{}");
    // One that is known needs no detour.
    wire.tool("send", json!({})).await.result();
    let records = rig.records.at_least(3).await;
    let called: Vec<_> = records
        .iter()
        .map(|record| record.target.as_str())
        .collect();
    assert_eq!(
        called,
        ["now", "convert", "send"],
        "the audit knows what was meant"
    );
}

#[tokio::test]
async fn a_modern_client_searches_too_and_failed_servers_are_named() {
    let time = time().await;
    let dead = "http://127.0.0.1:9/mcp";
    let (mut rig, agent) = Rig::linked(&[("time", &time.url), ("dead", dead)]).await;
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent);
    let listed = wire.modern_call("tools/list", json!({})).await.result();
    assert_eq!(names(&listed["tools"]), ["find_tool", "call_tool"]);
    let hello = wire
        .modern_call("server/discover", json!({}))
        .await
        .result();
    let instructions = hello["instructions"].as_str().unwrap();
    assert!(instructions.starts_with("Be kind.") && instructions.contains("find_tool"));
    let find = json!({"name": "find_tool", "arguments": {"query": "zones"}});
    let result = wire.modern_call("tools/call", find).await.result();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(names(&result["structuredContent"]["tools"]), ["convert"]);
    assert_eq!(result["_meta"]["io.agentopia/failures"][0]["name"], "dead");
    let call =
        json!({"name": "call_tool", "arguments": {"name": "convert", "arguments": {"a": 1}}});
    let result = wire.modern_call("tools/call", call).await.result();
    assert_eq!(result["content"][0]["text"], r#"{"a":1}"#);
}

#[tokio::test]
async fn a_mistake_is_told_where_the_model_reads_it() {
    let time = time().await;
    let (mut rig, agent) = Rig::linked(&[("time", &time.url)]).await;
    rig.policy(0).allowed_tools = Some(vec!["now".into()]);
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    for (tool, arguments, said) in [
        ("find_tool", json!({}), "query"),
        ("find_tool", json!({"query": "a", "limit": 0}), "limit"),
        ("find_tool", json!({"query": 5}), "query"),
        ("call_tool", json!({}), "name"),
        (
            "call_tool",
            json!({"name": "now", "arguments": []}),
            "object",
        ),
        ("call_tool", json!({"name": "call_tool"}), "directly"),
    ] {
        let result = wire.tool(tool, arguments.clone()).await.result();
        assert_eq!(result["isError"], true, "{tool} {arguments}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(said), "{tool} {arguments}: {text}");
    }
    // What the link does not let through is neither found nor called.
    let seen = found(&wire, json!({"query": "convert"})).await;
    assert_eq!(names(&seen["tools"]), ["now"; 0]);
    wire.tool("call_tool", json!({"name": "convert"}))
        .await
        .code();
    assert!(time.of("tools/call").is_empty());
}
