//! Secrets and passwords: given on standard input, shown nowhere.

use serde_json::json;

use crate::server::{EMAIL, PASSWORD, Server};

#[tokio::test]
async fn a_secret_is_set_from_standard_input_and_never_shown() {
    let server = Server::with_admin().await;
    let set = server
        .run_with("secrets set my-key -o json", "hush-hush\n")
        .await
        .ok();
    assert_eq!(set.json()["revision"], 1);
    let again = server
        .run_with("secrets set my-key", "hush-hush-2")
        .await
        .ok();
    assert!(again.out.contains("revision 2"), "{again:?}");
    for arguments in [
        "secrets list",
        "secrets list -o json",
        "events list --limit 100 -o json",
    ] {
        let ran = server.run(arguments).await.ok();
        assert!(!ran.out.contains("hush-hush"), "{ran:?}");
        assert!(!set.out.contains("hush-hush") && !again.out.contains("hush-hush"));
    }
    server.run_with("secrets set my-key", "\n").await.failed(2);
    assert_eq!(
        server.json("secrets list").await[0]["revision"],
        2,
        "an empty value changes nothing"
    );
    server.run("secrets rm my-key --yes").await.ok();
    assert_eq!(server.json("secrets list").await, json!([]));
}

#[tokio::test]
async fn registry_logins_keep_their_passwords_to_themselves() {
    let server = Server::with_admin().await;
    let login = "registry login 127.0.0.1:5000 --username me";
    server.run_with(login, "hush-hush\n").await.ok();
    let listed = server.run("registry list -o json").await.ok();
    assert_eq!(listed.json()[0]["host"], "127.0.0.1:5000");
    assert!(!listed.out.contains("hush-hush"));
    server
        .run("registry logout 127.0.0.1:5000 --yes")
        .await
        .ok();
    assert_eq!(server.json("registry list").await, json!([]));
}

#[tokio::test]
async fn users_are_added_shut_out_and_let_in_again() {
    let server = Server::with_admin().await;
    let create = "users create you@example.com";
    server.run_with(create, "short\n").await.failed(1);
    server.run_with(create, &format!("{PASSWORD}\n")).await.ok();
    let login = format!(
        "login --url {} --email you@example.com --context you",
        server.url
    );
    let input = format!("{PASSWORD}\n");
    server.run_with(&login, &input).await.ok();
    server.run("users list").await.failed(1);
    let admin = server.json("auth list").await[0]["context"]
        .as_str()
        .unwrap()
        .to_owned();
    server
        .run(&format!(
            "users disable you@example.com --yes --context {admin}"
        ))
        .await
        .ok();
    server.run("agents list").await.failed(3);
    server
        .run(&format!("users enable YOU@example.com --context {admin}"))
        .await
        .ok();
    server.run_with(&login, &input).await.ok();
    let ran = server
        .run(&format!(
            "users disable {EMAIL} --yes --context {admin} -o json"
        ))
        .await;
    assert_eq!(ran.failed(1).error()["code"], "own_account");
}

#[tokio::test]
async fn a_personal_token_is_printed_alone() {
    let server = Server::with_admin().await;
    let ran = server
        .run("tokens create ci --scope read --expires 1h")
        .await
        .ok();
    assert!(
        ran.out.starts_with("pat_") && ran.out.lines().count() == 1,
        "{ran:?}"
    );
    assert!(ran.err.contains("only time"), "{ran:?}");
    let quiet = server.run("tokens create ci2 -q").await.ok();
    assert_eq!(quiet.err, "");
    server
        .run("tokens create ci3 --expires 400d")
        .await
        .failed(1);
}
