//! What changes is told: links, lists, resources; rules 18 and 19.

use agentopia_gateway::GatewayConfig;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::rig::{Rig, link};
use crate::scripted::{Scripted, Seen, initialized, modern_server, result, session_server};
use crate::wire::Wire;

/// A session-era server that says on its GET stream what the test tells it to.
async fn talking(tools: &'static [&'static str]) -> (Scripted, broadcast::Sender<Value>) {
    let (say, _) = broadcast::channel::<Value>(16);
    let said = say.clone();
    let server = Scripted::start(move |seen: Seen| {
        let heard = said.subscribe();
        async move {
            match (seen.http.as_str(), seen.method()) {
                ("GET", _) => stream_of(heard),
                ("POST", "initialize") => initialized(
                    &seen,
                    json!({"tools": {"listChanged": true},
                        "resources": {"subscribe": true, "listChanged": true}}),
                ),
                ("POST", "resources/list") => {
                    result(&seen, json!({"resources": [{"uri": "a:1", "name": "a"}]}))
                }
                ("POST", "resources/subscribe") if seen.body["params"]["uri"] == "a:1" => {
                    result(&seen, json!({}))
                }
                _ => session_server(&seen, tools),
            }
        }
    })
    .await;
    (server, say)
}

fn stream_of(heard: broadcast::Receiver<Value>) -> axum::response::Response {
    let stream = futures::stream::unfold(heard, |mut heard| async move {
        let message = heard.recv().await.ok()?;
        Some((
            Ok::<_, std::convert::Infallible>(format!("data: {message}\n\n")),
            heard,
        ))
    });
    let mut response = axum::response::Response::new(axum::body::Body::from_stream(stream));
    response
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    response
}

fn note(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": method})
}

async fn listen(wire: &Wire, id: &str, filter: Value) -> crate::wire::Stream {
    let request = wire.modern("subscriptions/listen", json!({"notifications": filter}));
    let mut request = request.build().unwrap();
    let body = String::from_utf8(request.body().unwrap().as_bytes().unwrap().to_vec()).unwrap();
    let body = body.replace("\"id\":1", &format!("\"id\":\"{id}\""));
    *request.body_mut() = Some(body.into());
    wire.stream(reqwest::RequestBuilder::from_parts(
        reqwest::Client::new(),
        request,
    ))
    .await
}

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[tokio::test]
async fn rule_18_list_changed_reaches_session_streams_and_modern_listeners() {
    let (server, say) = talking(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let session = rig.wire(&agent).opened().await;
    session.tools().await;
    let mut standing = session.standing().await;
    let modern = rig.wire(&agent);
    let mut all = listen(
        &modern,
        "s1",
        json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1", "none:1"]}),
    )
    .await;
    let mut other = listen(
        &modern,
        "s2",
        json!({"promptsListChanged": true, "resourcesListChanged": true}),
    )
    .await;
    for (stream, id, wanted) in [
        (
            &mut all,
            "s1",
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a:1"]}),
        ),
        (
            &mut other,
            "s2",
            json!({"promptsListChanged": true, "resourcesListChanged": true}),
        ),
    ] {
        let first = stream.next().await.unwrap();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(first["params"]["_meta"][SUBSCRIPTION], id);
        assert_eq!(first["params"]["notifications"], wanted);
    }
    // The session's connection and that of the modern client, which both listeners share.
    server
        .until("both GETs", |s| {
            s.iter().filter(|s| s.http == "GET").count() == 2
        })
        .await;
    say.send(note("notifications/tools/list_changed")).unwrap();
    say.send(json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:1"}})).unwrap();
    say.send(note("notifications/resources/list_changed"))
        .unwrap();

    let first = standing.next().await.unwrap();
    assert_eq!(first, note("notifications/tools/list_changed"));
    assert_eq!(standing.next().await.unwrap()["params"]["uri"], "a:1");
    assert_eq!(
        standing.next().await.unwrap(),
        note("notifications/resources/list_changed")
    );

    let first = all.next().await.unwrap();
    assert_eq!(first["method"], "notifications/tools/list_changed");
    assert_eq!(first["params"]["_meta"][SUBSCRIPTION], "s1");
    let second = all.next().await.unwrap();
    assert_eq!(second["method"], "notifications/resources/updated");
    assert_eq!(
        (
            &second["params"]["uri"],
            &second["params"]["_meta"][SUBSCRIPTION]
        ),
        (&json!("a:1"), &json!("s1"))
    );
    let only = other.next().await.unwrap();
    assert_eq!(only["method"], "notifications/resources/list_changed");
    assert_eq!(only["params"]["_meta"][SUBSCRIPTION], "s2");
}

#[tokio::test]
async fn rule_18_a_modern_servers_changes_reach_a_session() {
    let (say, _) = broadcast::channel::<Value>(16);
    let said = say.clone();
    let server = Scripted::start(move |seen: Seen| {
        let heard = said.subscribe();
        async move {
            match seen.method() {
                "subscriptions/listen" => {
                    assert_eq!(seen.body["params"]["notifications"], json!({"toolsListChanged": true}));
                    stream_of(heard)
                }
                "server/discover" => result(&seen, json!({"resultType": "complete",
                    "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": true}}})),
                _ => modern_server(&seen, &["echo"]),
            }
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let mut standing = wire.standing().await;
    wire.tools().await;
    server
        .until("the listen", |s| {
            s.iter().any(|s| s.method() == "subscriptions/listen")
        })
        .await;
    say.send(
        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {SUBSCRIPTION: 99}}}),
    )
    .unwrap();
    assert_eq!(
        standing.next().await.unwrap(),
        note("notifications/tools/list_changed")
    );
}

#[tokio::test]
async fn lists_are_kept_while_their_server_would_tell_of_changes() {
    let (server, say) = talking(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let asked = || server.of("tools/list").len();
    wire.tools().await;
    wire.tools().await;
    assert_eq!(asked(), 2, "nobody listens: asked each time");
    let mut standing = wire.standing().await;
    server
        .until("the GET", |s| s.iter().any(|s| s.http == "GET"))
        .await;
    // A change is heard before the lists are asked for, so the stream is known to be open.
    say.send(note("notifications/tools/list_changed")).unwrap();
    standing.next().await.unwrap();
    wire.tools().await;
    wire.tools().await;
    assert_eq!(asked(), 3, "kept");
    say.send(note("notifications/tools/list_changed")).unwrap();
    standing.next().await.unwrap();
    wire.tools().await;
    assert_eq!(asked(), 4, "asked again after the change");
}

#[tokio::test]
async fn clients_hear_of_new_and_lost_links() {
    let (one, two) = (
        Scripted::with_tools(&["one"]).await,
        Scripted::with_tools(&["two"]).await,
    );
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let second = rig.instance("two", &two.url);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["one"]);
    let mut standing = wire.standing().await;
    let new = link(rig.ambient.new_id(), second);
    rig.snapshot.agents[0].links.push(new);
    rig.apply();
    assert_eq!(
        standing.next().await.unwrap(),
        note("notifications/tools/list_changed")
    );
    assert_eq!(wire.tools().await, ["one", "two"]);
    rig.snapshot.agents[0].links.remove(0);
    rig.apply();
    one.until("the goodbye", |s| s.iter().any(|s| s.http == "DELETE"))
        .await;
    assert_eq!(wire.tools().await, ["two"]);
    assert_eq!(wire.tool("one", json!({})).await.code(), -32602);
    // The agent itself goes: its session ends.
    rig.snapshot.agents.clear();
    rig.apply();
    while let Some(message) = standing.next().await {
        assert!(
            message["method"]
                .as_str()
                .unwrap()
                .ends_with("list_changed")
        );
    }
    assert_eq!(wire.call("ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn rule_19_modern_lists_say_how_long_and_for_whom() {
    let short = Scripted::start(|seen| async move { modern_server(&seen, &["a"]) }).await;
    let long = Scripted::start(|seen: Seen| async move {
        match seen.method() {
            "tools/list" => result(
                &seen,
                json!({"resultType": "complete", "ttlMs": 90_000,
                "cacheScope": "public", "tools": [{"name": "b"}]}),
            ),
            _ => modern_server(&seen, &["b"]),
        }
    })
    .await;
    let old = Scripted::with_tools(&["c"]).await;
    let (mut rig, agent) = Rig::linked(&[("short", &short.url), ("long", &long.url)]).await;
    let listed = rig
        .wire(&agent)
        .modern_call("tools/list", json!({}))
        .await
        .result();
    assert_eq!(
        (&listed["resultType"], &listed["cacheScope"]),
        (&json!("complete"), &json!("private"))
    );
    assert_eq!(listed["ttlMs"], 60_000, "the smallest");
    assert!(listed["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string());

    let third = rig.instance("old", &old.url);
    let new = link(rig.ambient.new_id(), third);
    rig.snapshot.agents[0].links.push(new);
    rig.apply();
    let listed = rig
        .wire(&agent)
        .modern_call("tools/list", json!({}))
        .await
        .result();
    assert_eq!(
        listed["ttlMs"], 0,
        "a server that can't promise anything is one of them"
    );
    let session = rig.wire(&agent).opened().await;
    let listed = session.call("tools/list", json!({})).await.result();
    assert_eq!(
        listed.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["tools"]
    );
}

#[tokio::test]
async fn too_many_listeners_are_refused() {
    let config = GatewayConfig {
        max_listeners_per_principal: 1,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, agentopia_domain::Ambient::system()).await;
    let agent = rig.agent(&[]);
    rig.apply();
    let wire = rig.wire(&agent);
    let mut first = listen(&wire, "one", json!({"toolsListChanged": true})).await;
    first.next().await.unwrap();
    let second = wire.modern("subscriptions/listen", json!({"notifications": {}}));
    assert_eq!(wire.send(second).await.status, 503);
    rig.gateway.shutdown().await;
    let last = first.next().await.unwrap();
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!("one"), &json!("complete"))
    );
    assert_eq!(first.next().await, None);
}

#[tokio::test]
async fn a_restarted_server_is_asked_again_for_updates() {
    let (server, say) = talking(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let session = rig.wire(&agent).opened().await;
    session
        .call("resources/subscribe", json!({"uri": "a:1"}))
        .await
        .result();
    rig.snapshot.instances[0].epoch = "2".into();
    rig.apply();
    session.tools().await;
    assert_eq!(server.of("initialize").len(), 2);
    let asked = server.of("resources/subscribe");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].body["params"]["uri"], "a:1");
    drop(say);
}
