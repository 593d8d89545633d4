//! Exposed names: rule 7, allow-lists and renaming.

use std::collections::BTreeMap;

use agentopia_gateway::{NameKind, book_key};
use serde_json::json;

use crate::rig::{Rig, link};
use crate::scripted::Scripted;

fn is_valid(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[tokio::test]
async fn rule_07_names_are_valid_and_decode_uniquely() {
    const ODD: &[&str] = &[
        "plain",
        "two words",
        "caf\u{e9}",
        "",
        "a__b",
        "x/y",
        "a_name_that_is_far_longer_than_the_sixty_four_characters_that_clients_will_take",
    ];
    let one = Scripted::with_tools(ODD).await;
    let two = Scripted::with_tools(ODD).await;
    let (rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let names = wire.tools().await;
    assert_eq!(names.len(), 2 * ODD.len());
    assert!(names.iter().all(|n| is_valid(n)), "{names:?}");
    for (at, name) in names.iter().enumerate() {
        let text = wire.tool(name, json!({})).await.result()["content"][0]["text"].clone();
        assert_eq!(text, format!("{} {{}}", ODD[at % ODD.len()]));
    }
    assert_eq!(one.of("tools/call").len(), ODD.len());
    assert_eq!(two.of("tools/call").len(), ODD.len());
}

#[tokio::test]
async fn rule_07_names_stay_when_a_second_server_is_linked_even_in_front() {
    let one = Scripted::with_tools(&["echo", "add"]).await;
    let two = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["echo", "add"]);
    let second = rig.instance("two", &two.url);
    let new = link(rig.ambient.new_id(), second);
    rig.snapshot.agents[0].links.insert(0, new);
    // The store's rows come back with the names that were assigned.
    for link in &mut rig.snapshot.agents[0].links {
        link.exposed_names = rig
            .book
            .stored
            .lock()
            .get(&link.id)
            .cloned()
            .unwrap_or_default();
    }
    rig.apply();
    assert_eq!(wire.tools().await, ["two__echo", "echo", "add"]);
    wire.tool("echo", json!({})).await.result();
    assert_eq!(
        (one.of("tools/call").len(), two.of("tools/call").len()),
        (1, 0)
    );
}

#[tokio::test]
async fn rule_07_what_is_stored_wins_over_what_we_propose() {
    let one = Scripted::with_tools(&["echo", "add"]).await;
    let two = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &one.url), ("two", &two.url)]).await;
    // Another replica was faster: it gave the second link's `echo` the plain name.
    let ids: Vec<_> = rig.snapshot.agents[0].links.iter().map(|l| l.id).collect();
    let key = book_key(NameKind::Tool, "echo").into_owned();
    rig.book
        .stored
        .lock()
        .insert(ids[1], BTreeMap::from([(key, "echo".to_owned())]));
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["one__echo", "add", "echo"]);
    let writes = *rig.book.writes.lock();
    assert_eq!(wire.tools().await, ["one__echo", "add", "echo"]);
    assert_eq!(
        *rig.book.writes.lock(),
        writes,
        "nothing new, nothing written"
    );
}

#[tokio::test]
async fn a_book_that_can_not_be_written_harms_no_list() {
    let one = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    *rig.book.broken.lock() = true;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["echo"]);
    wire.tool("echo", json!({})).await.result();
}

#[tokio::test]
async fn a_link_lets_through_what_it_allows_under_the_names_it_gives() {
    let one = Scripted::with_tools(&["read", "write", "drop"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let policy = rig.policy(0);
    policy.allowed_tools = Some(vec!["read".into(), "write".into()]);
    policy.renamed_tools = BTreeMap::from([("write".into(), "save".into())]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, ["read", "save"]);
    wire.tool("save", json!({})).await.result();
    assert_eq!(one.of("tools/call")[0].body["params"]["name"], "write");
    for hidden in ["drop", "write"] {
        assert_eq!(
            wire.tool(hidden, json!({})).await.code(),
            -32602,
            "{hidden}"
        );
    }
    // Taken away after it was named: gone at once.
    rig.policy(0).allowed_tools = Some(vec!["read".into()]);
    rig.apply();
    assert_eq!(wire.tool("save", json!({})).await.code(), -32602);
    assert_eq!(one.of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_link_describes_tools_in_its_own_words() {
    let one = Scripted::with_tools(&["read", "write"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let text = "Saves what the \"customer\" said";
    let policy = rig.policy(0);
    policy.described_tools = BTreeMap::from([("write".into(), text.into())]);
    policy.renamed_tools = BTreeMap::from([("write".into(), "save".into())]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let listed = wire.call("tools/list", json!({})).await.result();
    assert_eq!(listed["tools"][1]["name"], "save");
    assert_eq!(listed["tools"][1]["description"], text);
    assert_ne!(listed["tools"][0]["description"], text);
    // Another description is a change that clients are told of, and one that search mode finds by.
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let found = wire.tool("find_tool", json!({"query": "customer"})).await;
    let found = found.result()["structuredContent"]["tools"].clone();
    assert_eq!(found[0]["name"], "save", "{found}");
    assert_eq!(found[0]["description"], text, "{found}");
}

#[tokio::test]
async fn a_link_can_ask_for_its_prefix() {
    let one = Scripted::with_tools(&["read"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    rig.policy(0).always_prefix = true;
    rig.apply();
    assert_eq!(rig.wire(&agent).opened().await.tools().await, ["one__read"]);
}

#[tokio::test]
async fn a_call_before_any_list_finds_its_tool() {
    let one = Scripted::with_tools(&["read"]).await;
    let (rig, agent) = Rig::linked(&[("one", &one.url)]).await;
    let reply = rig
        .wire(&agent)
        .modern_call("tools/call", json!({"name": "read"}))
        .await;
    assert!(reply.result()["content"].is_array());
}
