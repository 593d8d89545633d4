//! Logins at servers that run elsewhere: what can be told without one. The logins themselves are tests
//! of the control plane (`tests/remote`).

use crate::server::Server;

#[tokio::test]
async fn a_login_that_can_not_be_made_says_why() {
    let server = Server::with_catalog().await;
    let help = server.run("tools login --help").await.ok();
    assert!(help.out.contains("/oauth/callback"), "{help:?}");
    server.run("tools login nothing").await.failed(4);
    let alone = "tools login clock --client-secret key";
    server.run(alone).await.failed(2);
    let deploy = "tools deploy clock --secret API_KEY=key --detach";
    server.run(deploy).await.ok();
    let ran = server
        .run("tools login clock --detach -o json")
        .await
        .failed(1);
    assert_eq!(ran.error()["code"], "login_not_possible", "{ran:?}");
    let ran = server.run("tools logout clock").await.failed(4);
    assert!(ran.err.contains("login"), "{ran:?}");
}
