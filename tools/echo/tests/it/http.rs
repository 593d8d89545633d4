//! Over Streamable HTTP, in both eras.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::process::{Echo, META, modern};

struct Client {
    /// Lives as long as its client.
    _echo: Echo,
    address: SocketAddr,
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    fn start() -> Self {
        let mut echo = Echo::start(&["--http", "127.0.0.1:0"], &[]);
        let ready = echo.logged();
        let address = ready
            .split("http://")
            .nth(1)
            .unwrap()
            .strip_suffix("/mcp")
            .unwrap();
        let address = address.parse().unwrap();
        Self {
            _echo: echo,
            address,
        }
    }

    fn open(&self, method: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let mut head = format!("{method} /mcp HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.len();
        write!(
            stream,
            "{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    fn send(&self, method: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let mut text = String::new();
        self.open(method, headers, &body.to_string())
            .read_to_string(&mut text)
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A modern request with the headers that belong to it.
    fn modern(&self, method: &str, params: Value) -> Response {
        let params = modern(params);
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .unwrap_or_default()
            .to_owned();
        let body = request(method, params);
        let headers = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", method),
            ("Mcp-Name", name.as_str()),
        ];
        self.send(
            "POST",
            if name.is_empty() {
                &headers[..2]
            } else {
                &headers
            },
            &body,
        )
    }
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[test]
fn a_session_from_initialize_to_delete() {
    let client = Client::start();
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    let response = client.send("POST", &[], &request("initialize", params));
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.json()["result"]["protocolVersion"], "2025-06-18");
    let id = response.header("mcp-session-id").unwrap();
    let session = [
        ("Mcp-Session-Id", id),
        ("MCP-Protocol-Version", "2025-06-18"),
    ];

    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let response = client.send("POST", &session, &initialized);
    assert_eq!((response.status, response.body.as_str()), (202, ""));
    let call = json!({ "name": "echo", "arguments": { "text": "hi" } });
    let response = client.send("POST", &session, &request("tools/call", call));
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi");

    assert_eq!(client.send("GET", &session, &Value::Null).status, 405);
    assert_eq!(client.send("DELETE", &session, &Value::Null).status, 200);
    let list = request("tools/list", json!({}));
    assert_eq!(client.send("POST", &session, &list).status, 404);
    assert_eq!(client.send("DELETE", &session, &Value::Null).status, 404);
    assert_eq!(client.send("POST", &[], &list).status, 400);
}

#[test]
fn modern_requests_stand_alone() {
    let client = Client::start();
    let response = client.modern("server/discover", json!({}));
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.json()["result"]["resultType"], "complete");
    assert!(response.header("mcp-session-id").is_none());
    let call = json!({ "name": "echo", "arguments": { "text": "hi" } });
    let response = client.modern("tools/call", call);
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi");
    let response = client.modern("resources/read", json!({ "uri": "echo://text/abc" }));
    assert_eq!(response.json()["result"]["contents"][0]["text"], "abc");
    assert_eq!(client.send("GET", &[], &Value::Null).status, 405);
    assert_eq!(client.send("DELETE", &[], &Value::Null).status, 405);
}

#[test]
fn modern_mistakes_have_their_codes() {
    let client = Client::start();
    let code = |response: &Response| (response.status, response.json()["error"]["code"].clone());
    let response = client.modern("nonsense", json!({}));
    assert_eq!(code(&response), (404, json!(-32601)));

    let list = request("tools/list", modern(json!({})));
    let version = ("MCP-Protocol-Version", "2026-07-28");
    let method = ("Mcp-Method", "tools/list");
    for headers in [
        &[version][..],
        &[method],
        &[version, method, method],
        &[version, ("Mcp-Method", "x")],
    ] {
        let response = client.send("POST", headers, &list);
        assert_eq!(code(&response), (400, json!(-32020)), "{headers:?}");
    }
    let bare = request("tools/list", json!({}));
    let response = client.send("POST", &[version, method], &bare);
    assert_eq!(code(&response), (400, json!(-32602)));
    let mut lacking = list.clone();
    lacking["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove(&format!("{META}clientCapabilities"));
    let response = client.send("POST", &[version, method], &lacking);
    assert_eq!(code(&response), (400, json!(-32602)));

    let mut unknown = list;
    unknown["params"]["_meta"][format!("{META}protocolVersion")] = json!("2099-01-01");
    let response = client.send(
        "POST",
        &[("MCP-Protocol-Version", "2099-01-01"), method],
        &unknown,
    );
    assert_eq!(code(&response), (400, json!(-32022)));
    assert_eq!(
        response.json()["error"]["data"]["supported"],
        json!(["2026-07-28"])
    );
}

#[test]
fn pages_of_other_sites_are_turned_away() {
    let client = Client::start();
    let origin = [("Origin", "http://evil.example")];
    assert_eq!(
        client
            .send("POST", &origin, &request("ping", json!({})))
            .status,
        403
    );
}

#[test]
fn progress_comes_as_events_and_then_the_answer() {
    let client = Client::start();
    let mut params = modern(json!({ "name": "sleep_ms", "arguments": { "ms": 30 } }));
    params["_meta"]["progressToken"] = json!(7);
    let headers = [
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "sleep_ms"),
    ];
    let response = client.send("POST", &headers, &request("tools/call", params));
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let messages: Vec<Value> = response
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (answer, progress) = messages.split_last().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "slept 30 ms");
    assert!(progress.len() >= 2);
    assert!(
        progress
            .iter()
            .all(|message| message["params"]["progressToken"] == 7)
    );
    assert_eq!(
        response.body.matches("event: message\n").count(),
        messages.len()
    );
}

#[test]
fn a_session_call_is_cancelled_by_notification() {
    let client = Client::start();
    let init = client.send("POST", &[], &request("initialize", json!({})));
    let session = [("Mcp-Session-Id", init.header("mcp-session-id").unwrap())];
    let mut params = json!({ "name": "sleep_ms", "arguments": { "ms": 600_000 } });
    params["_meta"]["progressToken"] = json!(1);
    let headers = [session[0], ("Accept", "text/event-stream")];
    let stream = client.open("POST", &headers, &request("tools/call", params).to_string());
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(
        lines.any(|line| line.contains("notifications/progress")),
        "the call runs"
    );
    let cancelled = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 },
    });
    assert_eq!(client.send("POST", &session, &cancelled).status, 202);
    assert!(
        !lines.any(|line| line.contains("\"result\"")),
        "the stream ends without an answer"
    );
}

#[test]
fn a_connection_serves_many_requests() {
    let client = Client::start();
    let stream = TcpStream::connect(client.address).unwrap();
    let body = request("initialize", json!({})).to_string();
    let mut reader = BufReader::new(&stream);
    for _ in 0..3 {
        let length = body.len();
        write!(
            &stream,
            "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    }
}
