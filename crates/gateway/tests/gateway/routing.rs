//! Resources, prompts and completions go to the right server: rule 8.

use serde_json::{Value, json};

use crate::rig::Rig;
use crate::scripted::{Scripted, Seen, error, initialized, result, status};

async fn library(label: &'static str) -> Scripted {
    Scripted::start(move |seen: Seen| async move {
        let uri = seen.body["params"]["uri"].as_str().unwrap_or_default().to_owned();
        let own = format!("{label}://");
        match (seen.http.as_str(), seen.method()) {
            ("POST", "initialize") => initialized(
                &seen,
                json!({"resources": {"subscribe": true}, "prompts": {}, "completions": {}}),
            ),
            ("POST", "resources/list") => {
                // Two pages, and one URI that both libraries have.
                if seen.body["params"]["cursor"].is_null() {
                    let page = json!([{"uri": format!("{own}a"), "name": "a"}]);
                    result(&seen, json!({"resources": page, "nextCursor": "2"}))
                } else {
                    result(&seen, json!({"resources": [{"uri": "shared:x", "name": label}]}))
                }
            }
            ("POST", "resources/templates/list") => result(
                &seen,
                json!({"resourceTemplates": [{"uriTemplate": format!("{own}item/{{id}}"), "name": "t"}]}),
            ),
            ("POST", "resources/read") if uri.starts_with(&own) || uri == "shared:x" => {
                result(&seen, json!({"contents": [{"uri": uri, "text": label}]}))
            }
            ("POST", "resources/read") => error(&seen, -32002, "not found"),
            ("POST", "resources/subscribe") => result(&seen, json!({})),
            ("POST", "prompts/list") => result(&seen, json!({"prompts": [{"name": "greet"}]})),
            ("POST", "prompts/get") => result(&seen, json!({"messages": [], "description": label})),
            ("POST", "completion/complete") => {
                result(&seen, json!({"completion": {"values": [label]}}))
            }
            ("POST", _) if seen.id().is_null() => status(202),
            ("POST", method) => error(&seen, -32601, method),
            _ => status(405),
        }
    })
    .await
}

fn uris(list: &Value, key: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|r| r[key].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn rule_08_resources_go_to_the_server_that_offered_them() {
    let (one, two) = (library("one").await, library("two").await);
    let (rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let read = async |uri: &str| wire.call("resources/read", json!({"uri": uri})).await;
    // Before any list was asked for, by template, and by nothing but asking around.
    for (uri, wanted) in [
        ("two://a", "two"),
        ("one://a", "one"),
        ("shared:x", "one"),
        ("two://item/7", "two"),
        ("two://not/listed", "two"),
    ] {
        assert_eq!(
            read(uri).await.result()["contents"][0]["text"],
            wanted,
            "{uri}"
        );
    }
    assert_eq!(read("three://a").await.code(), -32002);
    let listed = wire.call("resources/list", json!({})).await.result();
    assert_eq!(
        uris(&listed["resources"], "uri"),
        ["one://a", "shared:x", "two://a"]
    );
    let listed = wire
        .call("resources/templates/list", json!({}))
        .await
        .result();
    assert_eq!(
        uris(&listed["resourceTemplates"], "uriTemplate"),
        ["one://item/{id}", "two://item/{id}"]
    );
    wire.call("resources/subscribe", json!({"uri": "two://a"}))
        .await
        .result();
    assert_eq!(
        (
            one.of("resources/subscribe").len(),
            two.of("resources/subscribe").len()
        ),
        (0, 1)
    );
    // A modern client never sees the code that its revision dropped.
    let reply = rig
        .wire(&agent)
        .modern_call("resources/read", json!({"uri": "three://a"}))
        .await;
    assert_eq!(reply.code(), -32602);
}

#[tokio::test]
async fn rule_08_prompts_and_completions_go_to_their_server() {
    let (one, two) = (library("one").await, library("two").await);
    let (rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let prompts = wire.call("prompts/list", json!({})).await.result();
    assert_eq!(
        crate::wire::names(&prompts["prompts"]),
        ["greet", "two__greet"]
    );
    let got = wire
        .call("prompts/get", json!({"name": "two__greet"}))
        .await
        .result();
    assert_eq!(got["description"], "two");
    for (reference, wanted) in [
        (json!({"type": "ref/prompt", "name": "two__greet"}), "two"),
        (json!({"type": "ref/prompt", "name": "greet"}), "one"),
        (
            json!({"type": "ref/resource", "uri": "two://item/{id}"}),
            "two",
        ),
    ] {
        let params = json!({"ref": reference, "argument": {"name": "n", "value": ""}});
        let done = wire.call("completion/complete", params).await.result();
        assert_eq!(done["completion"]["values"][0], wanted);
    }
    assert_eq!(
        two.of("completion/complete")[0].body["params"]["ref"]["name"],
        "greet"
    );
}
