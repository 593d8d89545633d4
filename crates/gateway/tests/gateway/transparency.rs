//! Nothing of a message is lost: rules 5 and 6.

use serde_json::json;

use crate::rig::Rig;
use crate::scripted::{Scripted, initialized, json_text, modern_server, status};

/// Unknown fields, odd order and spacing, numbers that no float can hold.
const ARGUMENTS: &str = r#"{ "z" : 123456789012345678901234567890.10, "a":-1.0E+05, "u":"\u00e9\/", "n":{"name":"echo"} }"#;
const RESULT: &str = r#"{ "x-first":[1.0,  -0.0],"content":[{"type":"new kind","v":9007199254740993}],"isError":false , "structuredContent":{"id":7} }"#;

async fn exact_server() -> Scripted {
    Scripted::start(|seen| async move {
        match (seen.http.as_str(), seen.method()) {
            ("POST", "initialize") => initialized(&seen, json!({"tools": {}})),
            ("POST", "tools/list") => json_text(format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{{"x":1e2,"name":"echo","inputSchema":{{"type":"object"}},"annotations":{{"z":true,"a":10000000000000000000000}}}}]}}}}"#,
                seen.id()
            )),
            ("POST", "tools/call") => json_text(format!(
                r#"{{ "jsonrpc":"2.0", "extra":null,"result":{RESULT}, "id":{}}}"#,
                seen.id()
            )),
            ("POST", _) => status(202),
            _ => status(405),
        }
    })
    .await
}

#[tokio::test]
async fn rule_05_calls_and_answers_keep_every_byte() {
    let server = exact_server().await;
    let other = Scripted::with_tools(&["echo"]).await;
    // `echo` of the second server is shown as `two__echo`, so that a name has to be spliced.
    let (rig, agent) = Rig::linked(&[("one", &other.url), ("two", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["echo", "two__echo"]);
    let sent = format!(
        r#"{{"x":{{}},"params":{{"later":[ ],"name":"two__echo","arguments":{ARGUMENTS},"_meta":{{"k":1.50,"progressToken":"p"}}}},"method":"tools/call","id":"my id","jsonrpc":"2.0"}}"#
    );
    let reply = wire.post(sent.clone()).await;
    let answer = format!(r#"{{ "jsonrpc":"2.0", "extra":null,"result":{RESULT}, "id":"my id"}}"#);
    assert_eq!(reply.body, answer);
    let arrived = &server.of("tools/call")[0];
    let number = arrived.id().to_string();
    let expected = sent
        .replace("two__echo", "echo")
        .replace(r#""my id""#, &number)
        .replace(
            r#""progressToken":"p""#,
            &format!(r#""progressToken":{number}"#),
        );
    assert_eq!(arrived.text, expected);
}

#[tokio::test]
async fn rule_05_list_items_keep_every_byte_but_their_name() {
    let server = exact_server().await;
    let other = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &other.url), ("two", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let reply = wire.call("tools/list", json!({})).await;
    let item = r#"{"x":1e2,"name":"two__echo","inputSchema":{"type":"object"},"annotations":{"z":true,"a":10000000000000000000000}}"#;
    assert!(reply.body.contains(item), "{}", reply.body);
}

#[tokio::test]
async fn rule_05_an_instances_own_endpoint_changes_ids_alone() {
    let server = exact_server().await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig
        .wire_to(rig.snapshot.instances[0].id, &agent.token)
        .opened()
        .await;
    // Methods and notifications that nobody knows pass as well.
    let sent =
        format!(r#"{{"id":-3.50,"jsonrpc":"2.0","params":{ARGUMENTS},"method":"new\/method"}}"#);
    let _refused = wire.post(sent.clone()).await;
    server
        .until("the method", |s| {
            s.iter().any(|s| s.text.contains("new\\/method"))
        })
        .await;
    let seen = server.seen();
    let arrived = seen
        .iter()
        .find(|s| s.text.contains("new\\/method"))
        .unwrap();
    assert_eq!(
        arrived.text,
        sent.replace("-3.50", &arrived.id().to_string())
    );
    let note = r#"{"jsonrpc":"2.0","method":"notifications/own","params":{"a":1.0}}"#;
    assert_eq!(wire.post(note).await.status, 202);
    server
        .until("the note", |s| s.iter().any(|s| s.text == note))
        .await;
}

#[tokio::test]
async fn rule_05_large_answers_stream_through_unchanged() {
    let filler = "x".repeat(3 << 20);
    let filler_of_server = filler.clone();
    let server = Scripted::start(move |seen| {
        let filler = filler_of_server.clone();
        async move {
            match (seen.http.as_str(), seen.method()) {
                ("POST", "initialize") => initialized(&seen, json!({"tools": {}})),
                ("POST", "tools/list") => json_text(format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{{"name":"echo"}}]}}}}"#,
                    seen.id()
                )),
                ("POST", "tools/call") if seen.text.contains("last") => json_text(format!(
                    r#"{{"result":{{"f":"{filler}","n":1.0}},"jsonrpc":"2.0","id":{}}}"#,
                    seen.id()
                )),
                ("POST", "tools/call") => json_text(format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"f":"{filler}","n":1.0}}}}"#,
                    seen.id()
                )),
                ("POST", _) => status(202),
                _ => status(405),
            }
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let first = wire.tool("echo", json!({})).await;
    assert!(
        first.body == format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"f":"{filler}","n":1.0}}}}"#)
    );
    let last = wire.tool("echo", json!({"id": "last"})).await;
    assert!(
        last.body == format!(r#"{{"result":{{"f":"{filler}","n":1.0}},"jsonrpc":"2.0","id":1}}"#)
    );
    let records = rig.records.at_least(2).await;
    assert!(records.iter().all(|r| r.response_bytes > 3 << 20));
}

#[tokio::test]
async fn rule_06_headers_towards_a_modern_server_agree_with_its_body() {
    let first = Scripted::start(|seen| async move { modern_server(&seen, &["caf\u{e9}"]) }).await;
    let second = Scripted::start(|seen| async move { modern_server(&seen, &["caf\u{e9}"]) }).await;
    let (rig, agent) = Rig::linked(&[("one", &first.url), ("two", &second.url)]).await;
    let wire = rig.wire(&agent);
    let list = wire.modern_call("tools/list", json!({})).await.result();
    let exposed = list["tools"][1]["name"].as_str().unwrap().to_owned();
    let request = wire
        .modern(
            "tools/call",
            json!({"name": exposed, "arguments": {"region": "eu"}}),
        )
        .header("mcp-param-region", "=?base64?ZXU=?=")
        .header("mcp-param-unknown", "kept");
    assert_eq!(
        wire.send(request).await.result()["content"][0]["text"],
        r#"{"region":"eu"}"#
    );
    let arrived = &second.of("tools/call")[0];
    assert_eq!(arrived.body["params"]["name"], "caf\u{e9}");
    assert_eq!(arrived.headers["mcp-name"], "=?base64?Y2Fmw6k=?=");
    assert_eq!(arrived.headers["mcp-method"], "tools/call");
    assert_eq!(arrived.headers["mcp-protocol-version"], "2026-07-28");
    assert_eq!(arrived.headers["mcp-param-region"], "=?base64?ZXU=?=");
    assert_eq!(arrived.headers["mcp-param-unknown"], "kept");
    assert!(
        !arrived.headers.contains_key("authorization"),
        "the agent's token stays here"
    );
}

#[tokio::test]
async fn a_trace_goes_on_to_the_server_and_stands_in_the_audit() {
    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let call = |trace: Option<&str>| {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "echo", "arguments": {}}});
        let request = wire.posting(message.to_string());
        match trace {
            Some(trace) => request
                .header("traceparent", trace)
                .header("tracestate", "a=b"),
            None => request,
        }
    };
    wire.send(call(Some(GIVEN))).await.result();
    wire.send(call(None)).await.result();
    let seen = server.seen();
    let calls: Vec<_> = seen
        .iter()
        .filter(|seen| seen.method() == "tools/call")
        .collect();
    assert_eq!(calls[0].headers["traceparent"], GIVEN);
    assert_eq!(calls[0].headers["tracestate"], "a=b");
    assert_eq!(calls[0].body["params"]["_meta"]["traceparent"], GIVEN);
    let made = calls[1].headers["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(calls[1].body["params"].get("_meta"), None);
    let records = rig.records.at_least(2).await;
    let ids: Vec<_> = records.iter().map(|record| record.trace_id).collect();
    assert_eq!(ids[0], GIVEN.as_bytes()[3..35]);
    assert_eq!(ids[1], made.as_bytes()[3..35]);
}
