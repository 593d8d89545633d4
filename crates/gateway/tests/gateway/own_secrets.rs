//! Links that carry secrets of their own (AGT-6): no session, list or judgement of one reaches another.

use agentopia_domain::LinkId;
use agentopia_gateway::LINK_HEADER;
use serde_json::json;

use crate::rig::{Agent, Rig};
use crate::scripted::{
    Scripted, Seen, error, initialized, modern_server, session_server, status, tool_list,
};
use crate::wire::names;

/// What a request was to carry.
fn carried(seen: &Seen) -> Option<String> {
    let value = seen.headers.get(LINK_HEADER)?;
    Some(value.to_str().unwrap().to_owned())
}

/// A server that shows a tool named after the secrets that it sees, and has a session for each.
async fn server() -> Scripted {
    Scripted::start(|seen| async move {
        let own = carried(&seen).unwrap_or("everybodys x".into());
        let name = format!("of-{}", own.split(' ').nth(1).unwrap());
        match seen.method() {
            "initialize" => {
                let mut answer = initialized(&seen, json!({"tools": {}}));
                let session = format!("session-{name}").parse().unwrap();
                answer.headers_mut().insert("mcp-session-id", session);
                answer
            }
            _ if seen
                .session()
                .is_some_and(|it| it != format!("session-{name}")) =>
            {
                status(404)
            }
            "tools/list" => crate::scripted::result(
                &seen,
                json!({"tools": tool_list(&[name.as_str()]), "ttlMs": 60_000}),
            ),
            "tools/call" => {
                crate::scripted::result(&seen, json!({"content": [{"type": "text", "text": name}]}))
            }
            _ => session_server(&seen, &[]),
        }
    })
    .await
}

/// Three agents of one server: two whose links carry secrets of their own, one without.
struct Three {
    rig: Rig,
    agents: [Agent; 3],
    server: Scripted,
}

impl Three {
    async fn of(server: Scripted) -> Self {
        let mut rig = Rig::start().await;
        let instance = rig.instance("one", &server.url);
        let agents = [(); 3].map(|()| rig.agent(&[instance]));
        let mut three = Self {
            rig,
            agents,
            server,
        };
        three.carry(0, Some("a"));
        three.carry(1, Some("b"));
        three.rig.apply();
        three
    }

    fn carry(&mut self, agent: usize, revision: Option<&str>) -> LinkId {
        let link = &mut self.rig.snapshot.agents[agent].links[0];
        link.credentials = revision.map(str::to_owned);
        link.id
    }

    /// What the requests of an agent are to say, as a header.
    fn header(&self, agent: usize) -> Option<String> {
        let link = &self.rig.snapshot.agents[agent].links[0];
        let revision = link.credentials.as_ref()?;
        Some(format!("{} {revision}", link.id))
    }
}

#[tokio::test]
async fn rule_13_each_link_has_sessions_and_lists_with_its_own_secrets_in_both_eras() {
    let three = Three::of(server().await).await;
    let expected = ["of-a", "of-b", "of-x"];
    for _ in 0..2 {
        for (agent, expected) in three.agents.iter().zip(expected) {
            let session = three.rig.wire(agent).opened().await;
            assert_eq!(session.tools().await, [expected]);
            let said = session.tool(expected, json!({})).await.result();
            assert_eq!(said["content"][0]["text"], expected);
            let wire = three.rig.wire(agent);
            let list = wire.modern_call("tools/list", json!({})).await.result();
            assert_eq!(names(&list["tools"]), [expected]);
            let call = json!({"name": expected, "arguments": {}});
            let said = wire.modern_call("tools/call", call).await.result();
            assert_eq!(said["content"][0]["text"], expected);
        }
    }
    // An agent's token at the server's own endpoint carries the same.
    let instance = three.rig.snapshot.instances[0].id;
    let direct = three.rig.wire_to(instance, &three.agents[0].token);
    assert_eq!(direct.opened().await.tools().await, ["of-a"]);
    let person = three.rig.wire_to(instance, &three.rig.person.clone());
    assert_eq!(person.opened().await.tools().await, ["of-x"]);
    let all = [0, 1, 2].map(|agent| three.header(agent));
    for seen in three.server.seen() {
        assert!(all.contains(&carried(&seen)), "{seen:?}");
    }
}

#[tokio::test]
async fn other_secrets_end_the_sessions_with_those_before_and_disturb_nobody_else() {
    let mut three = Three::of(server().await).await;
    let mine = three.rig.wire(&three.agents[0]).opened().await;
    let other = three.rig.wire(&three.agents[1]).opened().await;
    assert_eq!(mine.tools().await, ["of-a"]);
    assert_eq!(other.tools().await, ["of-b"]);
    let before = three.header(0);
    for revision in [Some("c"), None] {
        let had = three.header(0);
        three.carry(0, revision);
        three.rig.apply();
        let expected = format!("of-{}", revision.unwrap_or("x"));
        assert_eq!(mine.tools().await, [expected.as_str()]);
        let said = mine.tool(&expected, json!({})).await.result();
        assert_eq!(said["content"][0]["text"], expected);
        let told = |seen: &[Seen]| {
            let mut goodbyes = seen.iter().filter(|one| one.http == "DELETE");
            goodbyes.any(|one| carried(one) == had)
        };
        three.server.until("the goodbye", told).await;
    }
    assert_ne!(three.header(0), before);
    let opened = three.server.of("initialize");
    let of_other = opened.iter().filter(|one| carried(one) == three.header(1));
    assert_eq!(of_other.count(), 1, "the other one's session goes on");
    assert_eq!(other.tools().await, ["of-b"]);

    // A link that is switched off is used no more, with anybody's secrets.
    three.rig.snapshot.agents[1].links.clear();
    three.rig.apply();
    assert!(other.tools().await.is_empty());
    let goodbye = format!("{:?}", three.server.seen().len());
    assert_eq!(
        other.tool("of-b", json!({})).await.code(),
        -32602,
        "{goodbye}"
    );
}

#[tokio::test]
async fn what_a_caller_says_of_whose_secrets_it_wants_counts_for_nothing() {
    let three = Three::of(server().await).await;
    let theirs = three.header(1).unwrap();
    let wire = three.rig.wire(&three.agents[2]);
    let ask = wire.modern("tools/call", json!({"name": "of-x", "arguments": {}}));
    let said = wire.send(ask.header(LINK_HEADER, &theirs)).await.result();
    assert_eq!(said["content"][0]["text"], "of-x");
    let seen = three.server.seen();
    assert!(seen.iter().all(|one| carried(one).is_none()), "{seen:?}");
}

#[tokio::test]
async fn what_a_server_is_like_with_ones_secrets_says_nothing_of_it_with_anothers() {
    // With the first one's secrets it fails, with the second one's it is modern, else of the session era.
    let server = Scripted::start(|seen| async move {
        match carried(&seen).and_then(|own| own.chars().last()) {
            Some('a') => status(503),
            Some(_) if seen.method() == "initialize" => error(&seen, -32601, "too old"),
            Some(_) => modern_server(&seen, &["new"]),
            None => session_server(&seen, &["old"]),
        }
    })
    .await;
    let three = Three::of(server).await;
    let failing = three.rig.wire(&three.agents[0]).opened().await;
    for _ in 0..4 {
        assert!(failing.tools().await.is_empty());
    }
    let resting = failing.tool("old", json!({})).await;
    assert_ne!(resting.code(), 0);
    for (agent, expected) in [(1, "new"), (2, "old"), (1, "new")] {
        let wire = three.rig.wire(&three.agents[agent]).opened().await;
        assert_eq!(wire.tools().await, [expected]);
    }
    let probed = three.server.of("initialize");
    let of_second = probed.iter().filter(|one| carried(one) == three.header(1));
    assert_eq!(of_second.count(), 1, "what was learnt of it is kept");
}
