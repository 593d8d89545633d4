//! Entries are looked at before they are imported, without a server.

use serde_json::json;

use crate::server::{Server, definition};

#[tokio::test]
async fn an_entry_is_looked_at_before_it_is_imported() {
    let server = Server::start().await;
    let good = definition("clock");
    let ran = server.run_with("catalog lint -", &good.to_string()).await;
    let said = ran.ok().out;
    assert!(said.contains("0 failed"), "{said}");

    let mut bad = good.clone();
    bad["slug"] = json!("No Slug");
    bad["versions"][0]["env"] = json!({"API_TOKEN": "ghp_0123456789abcdefghijklmnopqrstuvwxyz"});
    let ran = server
        .run_with("catalog lint - -o json", &bad.to_string())
        .await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = ran.json();
    assert_eq!((&found["ok"], &found["failed"]), (&json!(false), &json!(2)));
    assert!(
        !ran.out.contains("ghp_"),
        "a secret is not repeated: {}",
        ran.out
    );

    for (input, part) in [
        (r#"{"mcpServers": {}}"#, "import --dry-run"),
        ("slug = 1", "slug"),
    ] {
        let ran = server.run_with("catalog lint -", input).await.failed(2);
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    server.run("catalog lint nowhere").await.failed(2);
}
