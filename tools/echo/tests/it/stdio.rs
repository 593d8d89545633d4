//! Over stdio, in both eras.

use serde_json::{Value, json};

use crate::process::{Echo, META, modern};

fn call(name: &str, arguments: Value) -> Value {
    json!({ "name": name, "arguments": arguments })
}

#[test]
fn a_session_from_initialize_to_the_end_of_input() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut echo = Echo::start(&[], &[("GREETING", "Moin")]);
        let result = echo.initialize(version);
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "agentopia-echo");
        assert!(
            result["instructions"]
                .as_str()
                .unwrap()
                .starts_with("Moin!")
        );
        assert_eq!(echo.ask("ping", json!({})), json!({}));
        let tools = echo.ask("tools/list", json!({}));
        let names: Vec<_> = tools["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| &t["name"])
            .collect();
        assert_eq!(names, ["echo", "env", "add", "headers", "sleep_ms"]);
        let said = echo.ask("tools/call", call("echo", json!({ "text": "héllo" })));
        assert_eq!(said["content"][0]["text"], "héllo");
        assert!(said.get("resultType").is_none());
        drop(echo.stdin.take());
        assert!(echo.process.wait().unwrap().success());
    }
}

#[test]
fn modern_requests_need_no_handshake() {
    let mut echo = Echo::start(&[], &[("GREETING", "Moin")]);
    let discovered = echo.ask("server/discover", modern(json!({})));
    assert_eq!(discovered["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(
        discovered["_meta"][format!("{META}serverInfo")]["name"],
        "agentopia-echo"
    );
    for field in [
        "resultType",
        "ttlMs",
        "cacheScope",
        "capabilities",
        "instructions",
    ] {
        assert!(discovered.get(field).is_some(), "{field}");
    }
    let sum = echo.ask("tools/call", modern(call("add", json!({ "a": 2, "b": 3 }))));
    assert_eq!(sum["structuredContent"], json!({ "sum": 5 }));
    assert_eq!(sum["resultType"], "complete");
    let read = echo.ask(
        "resources/read",
        modern(json!({ "uri": "echo://greeting" })),
    );
    assert_eq!(read["contents"][0]["text"], "Moin");
    let prompt = json!({ "name": "greet", "arguments": { "name": "Ada" } });
    let prompt = echo.ask("prompts/get", modern(prompt));
    assert_eq!(prompt["messages"][0]["content"]["text"], "Moin, Ada!");
    for (method, list) in [
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        assert_eq!(
            echo.ask(method, modern(json!({})))[list]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn a_secret_is_proved_and_not_shown() {
    let mut echo = Echo::start(&[], &[("ECHO_SECRET", "abc")]);
    echo.initialize("2025-11-25");
    let result = echo.ask("tools/call", call("env", json!({ "name": "ECHO_SECRET" })));
    assert_eq!(
        result["content"][0]["text"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let result = echo.ask("tools/call", call("env", json!({ "name": "MISSING" })));
    assert_eq!(result["isError"], true);
}

#[test]
fn a_sleep_reports_progress_with_the_token_it_was_given() {
    let mut echo = Echo::start(&[], &[]);
    let mut params = modern(call("sleep_ms", json!({ "ms": 50 })));
    params["_meta"]["progressToken"] = json!("t");
    let id = echo.request("tools/call", params);
    let mut last = -1;
    loop {
        let message = echo.read();
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "t");
            assert_eq!(message["params"]["total"], 50);
            let progress = message["params"]["progress"].as_i64().unwrap();
            assert!(progress > last, "{progress} after {last}");
            last = progress;
        } else {
            assert_eq!(message["id"], id);
            break;
        }
    }
    assert_eq!(last, 50);
}

#[test]
fn a_cancelled_sleep_is_not_answered_and_others_go_on_meanwhile() {
    let mut echo = Echo::start(&[], &[]);
    echo.initialize("2025-11-25");
    let long = echo.request("tools/call", call("sleep_ms", json!({ "ms": 600_000 })));
    let said = echo.ask("tools/call", call("echo", json!({ "text": "meanwhile" })));
    assert_eq!(said["content"][0]["text"], "meanwhile");
    echo.notify("notifications/cancelled", json!({ "requestId": long }));
    // Cancelled at once as well: the notification is the very next line.
    let short = echo.request("tools/call", call("sleep_ms", json!({ "ms": 600_000 })));
    echo.notify("notifications/cancelled", json!({ "requestId": short }));
    let rest = echo.request("tools/call", call("sleep_ms", json!({ "ms": 100 })));
    assert_eq!(
        echo.read()["id"],
        rest,
        "the cancelled ones say nothing before"
    );
}

#[test]
fn mistakes_are_answered_and_do_no_harm() {
    let mut echo = Echo::start(&[], &[]);
    for (line, code) in [
        ("nonsense", -32700),
        ("[]", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", -32600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
            -32600,
        ),
    ] {
        echo.write(line);
        assert_eq!(echo.read()["error"]["code"], code, "{line}");
    }
    let mut params = modern(json!({}));
    params["_meta"][format!("{META}protocolVersion")] = json!("2099-01-01");
    echo.request("tools/list", params);
    let error = echo.read()["error"].clone();
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"]["supported"], json!(["2026-07-28"]));
    echo.write("");
    assert_eq!(
        echo.ask("tools/list", modern(json!({})))["resultType"],
        "complete"
    );
}
