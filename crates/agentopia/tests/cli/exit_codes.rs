//! Exit statuses and the form of errors.

use crate::server::Server;

#[tokio::test]
async fn help_and_version_need_no_server() {
    let server = Server::start().await;
    for arguments in [
        "--help",
        "tools deploy --help",
        "version",
        "--version",
        "help agents",
    ] {
        let ran = server.run(arguments).await.ok();
        assert!(
            !ran.out.is_empty() && ran.err.is_empty(),
            "{arguments}: {ran:?}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = server.run(&format!("completions {shell}")).await.ok().out;
        assert!(script.contains("deploy"), "{shell}");
    }
    let document = server.run("openapi").await.ok().json();
    assert!(document["paths"]["/api/v1/instances"].is_object());
}

#[tokio::test]
async fn wrong_usage_is_2_for_people_and_programs() {
    let server = Server::with_catalog().await;
    for arguments in [
        "nonsense",
        "tools deploy",
        "tools deploy clock --wait-timeout soon",
        "tools logs clock --tail 20000",
        "secrets set key hush-hush",
        "login --url ftp://example.com",
        "tools call clock say --args [1]",
        "catalog import /nowhere/at/all",
    ] {
        let text = server.run(arguments).await.failed(2);
        assert!(text.err.contains("error:"), "{arguments}: {text:?}");
        let json = server.run(&format!("{arguments} -o json")).await.failed(2);
        assert_eq!(json.error()["code"], "usage", "{arguments}");
        assert!(!json.error()["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn not_signed_in_is_3() {
    let server = Server::start().await;
    for arguments in ["env status", "tools list", "agents create x", "auth logout"] {
        let text = server.run(arguments).await.failed(3);
        assert!(text.err.contains("not signed in"), "{text:?}");
        let json = server.run(&format!("{arguments} -o json")).await.failed(3);
        assert_eq!(json.error()["code"], "not_signed_in");
    }
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_3() {
    let server = Server::with_admin().await;
    let token = server.json("tokens list").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    server
        .run(&format!("tokens revoke {token} --yes"))
        .await
        .ok();
    let ran = server.run("agents list -o json").await.failed(3);
    assert_eq!(ran.error()["code"], "not_signed_in");
    assert!(ran.error()["request_id"].is_string(), "{ran:?}");
}

#[tokio::test]
async fn unknown_things_are_4() {
    let server = Server::with_admin().await;
    let id = "019a0000-0000-7000-8000-000000000000";
    for arguments in [
        "tools show nothing",
        "agents show nothing",
        "catalog show nothing",
        "tools deploy nothing",
        "secrets rm nothing --yes",
        "registry logout nothing.example --yes",
        "tokens revoke nothing --yes",
        "users disable nothing@example.com --yes",
        &format!("tools logs {id}"),
        &format!("agents links {id}"),
    ] {
        server.run(arguments).await.failed(4);
        let json = server.run(&format!("{arguments} -o json")).await.failed(4);
        assert!(
            !json.error()["message"].as_str().unwrap().is_empty(),
            "{arguments}"
        );
    }
}

#[tokio::test]
async fn what_destroys_something_is_not_done_unasked() {
    let server = Server::with_catalog().await;
    server.run("agents create helper").await.ok();
    for arguments in ["agents rm helper", "secrets rm key", "env disable"] {
        let ran = server.run(&format!("{arguments} -o json")).await.failed(2);
        assert!(
            ran.error()["message"].as_str().unwrap().contains("--yes"),
            "{ran:?}"
        );
    }
    assert_eq!(
        server.json("agents list").await.as_array().unwrap().len(),
        1
    );
    server.run("agents rm helper --yes").await.ok();
    assert_eq!(
        server.json("agents list").await.as_array().unwrap().len(),
        0
    );
}

#[tokio::test]
async fn refusals_name_every_field_and_the_request() {
    let server = Server::with_catalog().await;
    let deploy = "tools deploy clock --secret API_KEY=key --set level=high --set size=1 --detach";
    let ran = server.run(&format!("{deploy} -o json")).await.failed(1);
    let error = ran.error();
    assert_eq!(error["code"], "invalid_config");
    assert!(error["request_id"].is_string(), "{error}");
    assert!(!error["errors"].as_array().unwrap().is_empty(), "{error}");
    let text = server.run(deploy).await.failed(1).err;
    assert!(
        text.contains("request id: ") && text.contains("level"),
        "{text}"
    );
    assert_eq!(server.json("tools list").await.as_array().unwrap().len(), 0);
}
