//! HTTP+SSE of 2024-11-05: everything comes on one stream, and posts are only told that they arrived.

use agentopia_mcp::{SseEvent, SseParser};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::rig::{Agent, PATIENCE, Rig};
use crate::scripted::{Scripted, Seen, events, session_server, status};

/// A client of 2024-11-05.
struct Old {
    http: reqwest::Client,
    token: String,
    /// Where to post, as the stream said.
    messages: String,
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    parser: SseParser,
    ready: Vec<SseEvent>,
}

impl Old {
    async fn open(rig: &Rig, agent: &Agent) -> Self {
        let url = rig.agent_url(agent).replace("/mcp", "/sse");
        let request = rig.http.get(&url).bearer_auth(&agent.token);
        let request = request.header("accept", "text/event-stream");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut old = Self {
            http: rig.http.clone(),
            token: agent.token.clone(),
            messages: String::new(),
            body: answer.bytes_stream().boxed(),
            parser: SseParser::default(),
            ready: Vec::new(),
        };
        let first = old.event().await.unwrap();
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        let path = String::from_utf8(first.data.unwrap().to_vec()).unwrap();
        assert!(path.starts_with(&format!("/agents/{}/messages?session_id=", agent.id)));
        old.messages = format!("{}{path}", rig.base);
        old
    }

    /// One that has introduced itself.
    async fn opened(rig: &Rig, agent: &Agent, capabilities: Value) -> Self {
        let mut old = Self::open(rig, agent).await;
        let params = json!({"protocolVersion": "2024-11-05", "capabilities": capabilities,
            "clientInfo": {"name": "old", "version": "1"}});
        let answer = old.ask("hello", "initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(old.post(&ready).await, 202);
        old
    }

    /// Posts a message and gives the status.
    async fn post(&self, message: &Value) -> u16 {
        let request = self.http.post(&self.messages).bearer_auth(&self.token);
        let answer = request.json(message).send().await.unwrap();
        answer.status().as_u16()
    }

    async fn request(&self, id: &str, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        assert_eq!(self.post(&message).await, 202, "{message}");
    }

    async fn ask(&mut self, id: &str, method: &str, params: Value) -> Value {
        self.request(id, method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The next event; `None` at the end.
    async fn event(&mut self) -> Option<SseEvent> {
        let reading = async {
            while self.ready.is_empty() {
                let chunk = self.body.next().await?.ok()?;
                self.parser.push(&chunk, &mut self.ready).unwrap();
            }
            Some(self.ready.remove(0))
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.expect("an event in time")
    }

    /// The next message.
    async fn next(&mut self) -> Value {
        let event = self.event().await.expect("the stream goes on");
        assert_eq!(event.event.as_deref(), Some("message"));
        serde_json::from_slice(&event.data.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn an_old_client_hears_everything_on_its_stream() {
    let (one, two) = (
        Scripted::with_tools(&["echo"]).await,
        Scripted::with_tools(&["other"]).await,
    );
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let mut old = Old::opened(&rig, &agent, json!({})).await;
    assert_eq!(rig.gateway.counts().sessions, 1);
    let listed = old.ask("list", "tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"][0]["name"], "echo");
    let params = json!({"name": "echo", "arguments": {"n": 1}});
    let called = old.ask("call", "tools/call", params).await;
    assert_eq!(called["result"]["content"][0]["text"], "echo {\"n\":1}");
    let unknown = old.ask("what", "no/such", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);

    let second = rig.instance("two", &two.url);
    let link = crate::rig::link(rig.ambient.new_id(), second);
    rig.snapshot.agents[0].links.push(link);
    rig.apply();
    // In which order the three lists are told of says nothing.
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(old.next().await["method"].as_str().unwrap().to_owned());
    }
    assert!(told.contains(&"notifications/tools/list_changed".to_owned()));
    let listed = old.ask("again", "tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_question_of_a_server_is_answered_while_its_call_waits() {
    let (answered, answers) = tokio::sync::mpsc::unbounded_channel::<Value>();
    let answers = std::sync::Arc::new(tokio::sync::Mutex::new(answers));
    let server = Scripted::start(move |seen: Seen| {
        let (answered, answers) = (answered.clone(), answers.clone());
        async move {
            if seen.body.get("result").is_some() {
                answered.send(seen.body["result"].clone()).unwrap();
                return status(202);
            }
            if seen.method() != "tools/call" {
                return session_server(&seen, &["ask"]);
            }
            let question = json!({"jsonrpc": "2.0", "id": "q",
                "method": "sampling/createMessage", "params": {"messages": []}});
            let first = format!("data: {question}\n\n");
            let rest = async move {
                let answer = answers.lock().await.recv().await.unwrap();
                let result = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"got": answer}});
                format!("data: {result}\n\n")
            };
            let body = futures::stream::iter([first])
                .chain(futures::stream::once(rest))
                .map(Ok::<_, std::convert::Infallible>);
            let mut response = events(&[]);
            *response.body_mut() = axum::body::Body::from_stream(body);
            response
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let mut old = Old::opened(&rig, &agent, json!({"sampling": {}})).await;
    old.ask("list", "tools/list", json!({})).await;
    let params = json!({"name": "ask", "arguments": {}});
    old.request("call", "tools/call", params).await;
    let question = old.next().await;
    assert_eq!(question["method"], "sampling/createMessage");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant"}});
    assert_eq!(old.post(&answer).await, 202);
    let called = old.next().await;
    assert_eq!(called["id"], "call");
    assert_eq!(called["result"]["got"]["role"], "assistant");
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_session_and_its_calls() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => std::future::pending().await,
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let mut old = Old::opened(&rig, &agent, json!({})).await;
    old.ask("list", "tools/list", json!({})).await;
    let params = json!({"name": "slow", "arguments": {}});
    old.request("call", "tools/call", params).await;
    let is = |method: &'static str| move |seen: &[Seen]| seen.iter().any(|s| s.method() == method);
    server.until("the call", is("tools/call")).await;
    let (messages, token) = (old.messages.clone(), old.token.clone());
    drop(old);
    server
        .until("the cancellation", is("notifications/cancelled"))
        .await;
    server
        .until("the session's end", |seen| {
            seen.iter().any(|s| s.http == http::Method::DELETE)
        })
        .await;
    assert_eq!(rig.gateway.counts().sessions, 0);
    let late = rig.http.post(messages).bearer_auth(token);
    let late = late.json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    assert_eq!(late.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_token_that_is_taken_back_ends_the_stream() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let mut old = Old::opened(&rig, &agent, json!({})).await;
    rig.snapshot.tokens.clear();
    rig.apply();
    assert!(old.event().await.is_none());
    assert_eq!(rig.gateway.counts().sessions, 0);
}

#[tokio::test]
async fn an_old_connection_is_used_in_its_own_way_only() {
    let server = Scripted::with_tools(&["echo"]).await;
    let mut rig = Rig::start().await;
    let instance = rig.instance("one", &server.url);
    let (agent, stranger) = (rig.agent(&[instance]), rig.agent(&[instance]));
    rig.apply();
    let mut old = Old::open(&rig, &agent).await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(old.post(&ping).await, 400, "before initialize");
    let params = json!({"protocolVersion": "2024-11-05", "capabilities": {},
        "clientInfo": {"name": "old", "version": "1"}});
    old.ask("hello", "initialize", params.clone()).await;
    let again = json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": params});
    assert_eq!(old.post(&again).await, 400, "initialize twice");
    assert_eq!(old.post(&json!([ping])).await, 400, "a batch");
    let modern = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"_meta":
        {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}});
    assert_eq!(old.post(&modern).await, 400, "another era");
    let own = std::mem::replace(&mut old.token, stranger.token.clone());
    assert_eq!(old.post(&ping).await, 404, "another agent's token");
    let theirs = agent.id.to_string();
    let elsewhere = old.messages.replace(&theirs, &stranger.id.to_string());
    let elsewhere = std::mem::replace(&mut old.messages, elsewhere);
    assert_eq!(old.post(&ping).await, 404, "at another agent's address");
    (old.token, old.messages) = (own, elsewhere);
    assert_eq!(old.post(&ping).await, 202);
    assert_eq!(old.next().await["result"], json!({}));

    let url = rig.agent_url(&agent).replace("/mcp", "/sse");
    let ask = async |method, url: &str, accept| {
        let request = rig.http.request(method, url).bearer_auth(&agent.token);
        let answer = request.header("accept", accept).send().await.unwrap();
        answer.status().as_u16()
    };
    let events = "text/event-stream";
    assert_eq!(ask(http::Method::POST, &url, events).await, 405);
    assert_eq!(ask(http::Method::GET, &url, "text/html").await, 406);
    let messages = rig.agent_url(&agent).replace("/mcp", "/messages");
    assert_eq!(ask(http::Method::GET, &messages, events).await, 405);
    let unsaid = rig.http.post(&messages).bearer_auth(&agent.token);
    assert_eq!(
        unsaid.json(&ping).send().await.unwrap().status(),
        404,
        "no id"
    );
}
