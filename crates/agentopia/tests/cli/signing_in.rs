//! Setting up, signing in and out, contexts.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::server::{EMAIL, PASSWORD, SETUP_TOKEN, Server, finish};

#[tokio::test]
async fn the_first_admin_is_made_and_signed_in() {
    let server = Server::start().await;
    let input = format!("{SETUP_TOKEN}\n{EMAIL}\n{PASSWORD}\n");
    let command = format!("setup --url {} -o json", server.url);
    let said = server.run_with(&command, &input).await.ok().json();
    assert_eq!(said["email"], EMAIL);
    assert_eq!(server.json("users list").await[0]["role"], "admin");
    assert_eq!(server.json("agents list").await, json!([]));

    let again = server.run_with(&command, &input).await.failed(1);
    assert_eq!(again.error()["code"], "already_set_up");
}

#[tokio::test]
async fn the_token_is_kept_where_nobody_else_can_read_it_and_the_password_nowhere() {
    let server = Server::with_admin().await;
    let text = std::fs::read_to_string(server.contexts()).unwrap();
    assert!(text.contains("pat_") && !text.contains(PASSWORD), "{text}");
    let mode = std::fs::metadata(server.contexts())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = server.run("auth list").await.ok().out;
    assert!(shown.contains(EMAIL) && !shown.contains("pat_"), "{shown}");
    let sessions = server.json("events list --limit 100").await;
    let ended = |event: &&serde_json::Value| event["kind"] == "session.ended";
    assert_eq!(sessions.as_array().unwrap().iter().filter(ended).count(), 1);
}

#[tokio::test]
async fn signing_in_again_replaces_the_token_and_signing_out_takes_it_back() {
    let server = Server::with_admin().await;
    let login = format!("login --url {} --email {EMAIL}", server.url);
    server.run_with(&login, &format!("{PASSWORD}\n")).await.ok();
    let tokens = server.json("tokens list").await;
    let alive = |list: &serde_json::Value| {
        let list = list.as_array().unwrap();
        list.iter()
            .filter(|token| token["revoked_at"].is_null())
            .count()
    };
    assert_eq!((tokens.as_array().unwrap().len(), alive(&tokens)), (2, 1));

    let token = server
        .run("tokens create watcher --scope read")
        .await
        .ok()
        .out;
    let said = server.json("auth logout").await;
    assert_eq!(said["token_revoked"], true);
    server.run("agents list").await.failed(3);
    assert_eq!(server.json("auth list").await, json!([]));

    let mut other = server.command("tokens list -o json");
    other
        .env("AGENTOPIA_URL", &server.url)
        .env("AGENTOPIA_TOKEN", token.trim());
    let tokens = finish(other, "").await.ok().json();
    assert_eq!(alive(&tokens), 1, "only the watcher's: {tokens}");
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_server_that_is_not_there() {
    let server = Server::with_admin().await;
    let login = format!("login --url {} --email {EMAIL} -o json", server.url);
    let wrong = server
        .run_with(&login, "a wrong password\n")
        .await
        .failed(3);
    assert_eq!(wrong.error()["code"], "wrong_credentials");
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let login = format!("login --url {url} --email {EMAIL} -o json");
    let nobody = server
        .run_with(&login, "a wrong password\n")
        .await
        .failed(1);
    assert_eq!(nobody.error()["code"], "server_unreachable");
}

#[tokio::test]
async fn several_servers_can_be_used_in_turn() {
    let server = Server::with_admin().await;
    let login = format!(
        "login --url {} --email {EMAIL} --context second",
        server.url
    );
    server.run_with(&login, &format!("{PASSWORD}\n")).await.ok();
    let contexts = server.json("auth list").await;
    let first = contexts[0]["context"].as_str().unwrap().to_owned();
    assert_eq!(
        (&contexts[0]["current"], &contexts[1]["current"]),
        (&json!(false), &json!(true))
    );
    server.run(&format!("auth switch {first}")).await.ok();
    assert_eq!(server.json("auth list").await[0]["current"], true);
    server.run("auth switch third").await.failed(4);

    server.run("agents list --context second").await.ok();
    server.run("agents list --context third").await.failed(3);
    server.run("auth logout --context second").await.ok();
    server.run("agents list").await.ok();
}

#[tokio::test]
async fn a_token_goes_to_no_server_but_its_own() {
    let server = Server::with_admin().await;
    let other = Server::start().await;
    let mut command = server.command("agents list -o json");
    command.env("AGENTOPIA_URL", &other.url);
    let ran = finish(command, "").await.failed(3);
    assert_eq!(ran.error()["code"], "not_signed_in");
    let mut command = server.command("agents list");
    command.env("AGENTOPIA_URL", &server.url);
    finish(command, "").await.ok();
}

#[tokio::test]
async fn a_token_made_elsewhere_can_be_used_to_sign_in() {
    let server = Server::with_admin().await;
    let token = server.run("tokens create elsewhere -q").await.ok().out;
    let login = format!("login --url {} --with-token --context borrowed", server.url);
    server.run_with(&login, &token).await.ok();
    server.run("agents list").await.ok();
    let said = server.json("auth logout").await;
    assert_eq!(said["token_revoked"], false, "it may be used elsewhere");
    server.run_with(&login, "pat_nonsense\n").await.failed(3);
}
