//! The earlier model is shown, imported, and imported again.

use serde_json::json;

use crate::server::{EMAIL, Server};

fn rows() -> String {
    json!({
        "agent_droplets": [
            {"id": 1, "agent_id": 5, "user_id": EMAIL, "droplet_id": 4711, "status": "active",
             "ip_address": "203.0.113.9", "region": "fra1", "size": "s-1vcpu-1gb"},
            {"id": 2, "agent_id": 6, "user_id": "somebody", "droplet_id": 4712, "status": "active"},
            {"id": 3, "agent_id": null, "user_id": EMAIL, "status": "active"},
        ],
        "agent_droplet_tools": [
            {"id": 11, "agent_droplet_id": 1, "tool_catalog_id": 7, "status": "active"},
        ],
    })
    .to_string()
}

#[tokio::test]
async fn a_plan_is_shown_and_done_when_that_is_asked_for() {
    let server = Server::with_catalog().await;
    server.run_with("secrets set API_KEY", "hush\n").await.ok();
    let shown = server
        .run_with("import-legacy --from - --tool 7=clock", &rows())
        .await
        .ok();
    for part in [
        "admin@example.com",
        "would be made",
        "clock",
        "4711",
        "--user somebody=",
        "an id is missing",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(
        shown.err.contains("--apply does what is shown"),
        "{}",
        shown.err
    );
    assert_eq!(server.json("agents list").await, json!([]));

    // What could not be imported makes the exit status say so, after the rest was done.
    let command = "import-legacy --from - --tool 7=clock --apply";
    let done = server.run_with(command, &rows()).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.out.contains("made") && !done.out.contains("would"),
        "{}",
        done.out
    );
    assert!(
        done.err.contains("2 rows were not imported"),
        "{}",
        done.err
    );
    assert_eq!(
        server.json("agents list").await.as_array().unwrap().len(),
        1
    );
    assert_eq!(server.json("tools list").await[0]["name"], "clock");

    let command = format!("{command} --user somebody={EMAIL} -o json");
    let again = server.run_with(&command, &rows()).await;
    assert_eq!(again.code, Some(1), "one row is bad: {again:?}");
    let again = again.json();
    let agents = again["accounts"][0]["agents"].as_array().unwrap();
    let steps: Vec<_> = agents
        .iter()
        .map(|it| it["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["exists", "create"]);
    assert_eq!(again["accounts"][0]["instances"][0]["step"], "exists");
}

#[tokio::test]
async fn what_can_not_be_read_is_wrong_usage() {
    let server = Server::with_admin().await;
    for (arguments, input, part) in [
        ("import-legacy --from /nowhere.json", "", "/nowhere.json"),
        ("import-legacy --from -", "[1]", "no JSON object"),
        (
            "import-legacy --from -",
            r#"{"agent_droplets": 1}"#,
            "no array of rows",
        ),
        ("import-legacy --from - --user 7", "{}", "OLD=NEW"),
    ] {
        let failed = server.run_with(arguments, input).await.failed(2);
        assert!(failed.err.contains(part), "{part}: {}", failed.err);
    }
}
