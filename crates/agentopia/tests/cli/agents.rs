//! Agents, their links, tokens and configurations.

use agentopia_domain::oauth::{Audience, ClientShown};
use agentopia_domain::token::{TokenHash, TokenKind, mint};
use agentopia_domain::{AccountId, AgentId, Ambient, GrantId, UserId};
use agentopia_store::{GrantTokenKind, NewGrant, NewGrantToken};
use serde_json::json;

use crate::server::{EMAIL, Server};

#[tokio::test]
async fn an_agent_is_made_linked_and_taken_apart_again() {
    let server = Server::with_catalog().await;
    server
        .run("tools deploy clock --secret API_KEY=key --detach")
        .await
        .ok();
    let agent = server
        .json("agents create helper --description helps")
        .await;
    server.run("agents create helper").await.failed(1);
    let id = agent["id"].as_str().unwrap();
    assert_eq!(server.json(&format!("agents show {id}")).await, agent);
    assert_eq!(server.json("agents show HELPER").await, agent);

    let link = server
        .json("agents link helper clock --allow say --rename say=speak")
        .await;
    assert_eq!(link["policy"]["allowed_tools"], json!(["say"]));
    let listed = server.run("agents links helper").await.ok().out;
    assert!(
        listed.contains("clock") && listed.contains("say=speak"),
        "{listed}"
    );
    let off = server.json("agents link helper clock --disabled").await;
    assert_eq!((&off["enabled"], &off["id"]), (&json!(false), &link["id"]));
    let found = server.json("agents discovery helper").await;
    assert_eq!(found["agent_id"], id);
    server.run("agents unlink helper clock").await.ok();
    assert_eq!(server.json("agents links helper").await, json!([]));
    server.run("agents rm helper --yes").await.ok();
    server.run("agents show helper").await.failed(4);
}

#[tokio::test]
async fn clients_get_a_configuration_without_a_token() {
    let server = Server::with_admin().await;
    let agent = server.json("agents create helper").await;
    let url = agent["mcp_url"].as_str().unwrap();
    for client in ["claude", "vscode", "cursor", "json"] {
        let ran = server
            .run(&format!("agents config helper --client {client}"))
            .await
            .ok();
        assert!(
            ran.json().to_string().contains(url),
            "standard output is the file: {ran:?}"
        );
        assert!(
            !ran.out.contains("agt_1") && ran.err.contains("goes into"),
            "{ran:?}"
        );
        let quiet = server
            .run(&format!("agents config helper --client {client} -q"))
            .await
            .ok();
        assert_eq!((quiet.out, quiet.err.as_str()), (ran.out, ""));
    }
    server
        .run("agents config helper --client emacs")
        .await
        .failed(2);
}

#[tokio::test]
async fn a_link_carries_a_secret_by_name_and_never_shows_its_value() {
    let server = Server::with_catalog().await;
    let deploy = "tools deploy clock --secret API_KEY=key --detach";
    server.run(deploy).await.ok();
    server.run("agents create helper").await.ok();
    server.run_with("secrets set mine", "hush-own\n").await.ok();
    let link = "agents link helper clock";
    let made = server.json(&format!("{link} --secret API_KEY=mine")).await;
    let id = made["secrets"]["API_KEY"].as_str().unwrap();
    let kept = server.json(&format!("{link} --allow say")).await;
    assert_eq!(kept["secrets"], json!({"API_KEY": id}));
    let said = server.run(link).await.ok().out;
    assert!(said.contains("API_KEY of its own"), "{said}");
    let listed = server.run("agents links helper").await.ok().out;
    assert!(listed.contains("API_KEY"), "{listed}");
    let secrets = server.run("secrets list").await.ok().out;
    assert!(secrets.contains("helper"), "{secrets}");
    let refused = server.run("secrets rm mine --yes").await.failed(1);
    assert!(refused.err.contains("helper"), "{refused:?}");
    for shown in [said, listed, secrets, refused.err] {
        assert!(!shown.contains("hush-own"), "{shown}");
    }
    let both = format!("{link} --secret API_KEY=mine --no-secrets");
    server.run(&both).await.failed(2);
    let none = server.json(&format!("{link} --no-secrets")).await;
    assert_eq!(none["secrets"], json!({}));
    server.run("secrets rm mine --yes").await.ok();
}

#[tokio::test]
async fn an_agents_token_is_printed_once_and_taken_back_by_name() {
    let server = Server::with_admin().await;
    server.run("agents create helper").await.ok();
    let token = server
        .run("agents token create helper --name laptop -q")
        .await
        .ok();
    assert!(token.out.starts_with("agt_"), "{token:?}");
    server
        .run("agents token create helper --name laptop")
        .await
        .ok();
    let twice = server
        .run("agents token revoke helper laptop --yes")
        .await
        .failed(2);
    assert!(twice.err.contains("several"), "{twice:?}");
    let list = server.json("agents token list helper").await;
    let id = list[0]["id"].as_str().unwrap();
    server
        .run(&format!("agents token revoke helper {id} --yes"))
        .await
        .ok();
    server
        .run("agents token revoke helper laptop --yes")
        .await
        .ok();
    server
        .run("agents token revoke helper laptop --yes")
        .await
        .failed(4);
    let shown = server.run("agents token list helper").await.ok().out;
    assert!(
        !shown.contains(token.out.trim()) && shown.contains("revoked"),
        "{shown}"
    );
}

/// As if somebody had let a program in by browser login.
async fn let_in(server: &Server, agent: &str, program: &str) {
    let ambient = Ambient::system();
    let agent: AgentId = agent.parse().unwrap();
    let owner = server
        .store
        .users()
        .credentials_by_email(EMAIL)
        .await
        .unwrap();
    let owner = owner.unwrap().user;
    let user_updated_at = owner.updated_at;
    let owner: UserId = owner.id;
    let id: GrantId = ambient.new_id();
    let later = ambient.now() + chrono::TimeDelta::hours(1);
    let new = NewGrant {
        id,
        account_id: AccountId::from(owner),
        user_id: owner,
        user_updated_at,
        audience: Audience::Agent(agent),
        resource: format!("{}/agents/{agent}/mcp", server.url),
        client: ClientShown {
            id: "client".into(),
            name: program.into(),
            host: "app.example".into(),
        },
        redirect_uri: "https://app.example/cb".into(),
        code_hash: TokenHash::of(program),
        code_challenge: "challenge".into(),
        code_expires_at: later,
    };
    let grants = server.store.grants();
    grants.create(new, &[]).await.unwrap();
    let token = NewGrantToken {
        hash: mint(TokenKind::Access, &ambient).hash,
        kind: GrantTokenKind::Access,
        expires_at: later,
    };
    assert!(grants.redeem_unscoped(id, &[token], &[]).await.unwrap());
}

#[tokio::test]
async fn programs_that_were_let_in_are_seen_and_shut_out() {
    let server = Server::with_admin().await;
    let agent = server.json("agents create helper").await;
    let empty = server.run("agents grant list helper").await.ok().out;
    assert!(empty.contains("no program"), "{empty}");
    let_in(&server, agent["id"].as_str().unwrap(), "Cursor").await;
    let_in(&server, agent["id"].as_str().unwrap(), "Claude").await;
    let listed = server.run("agents grant list helper").await.ok().out;
    assert!(
        listed.contains("Cursor") && listed.contains("app.example"),
        "{listed}"
    );
    server
        .run("agents grant revoke helper Emacs --yes")
        .await
        .failed(4);
    server
        .run("agents grant revoke helper cursor --yes")
        .await
        .ok();
    let left = server.json("agents grant list helper").await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["client_name"], "Claude");
}
