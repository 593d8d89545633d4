//! The catalog as an MCP registry: read by those who may read the catalog, in the registry's own words.

use serde_json::{Value, json};

use crate::app::{App, Client, definition};
use crate::catalog_import::IMPORT;

async fn names(app: &App, client: &Client, query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut path = format!("/v0.1/servers?{query}");
    loop {
        let page = app.get(client, &path).await.ok(200);
        let servers = page["servers"].as_array().unwrap();
        assert_eq!(page["metadata"]["count"], servers.len());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.extend(
            servers
                .iter()
                .map(|it| (text(&it["server"]["name"]), text(&it["server"]["version"]))),
        );
        match &page["metadata"]["nextCursor"] {
            Value::String(cursor) => path = format!("/v0.1/servers?{query}&cursor={cursor}"),
            _ => return found,
        }
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn the_catalog_is_listed_page_by_page_with_its_versions() {
    let (app, admin) = App::with_admin().await;
    app.catalog_entry(&admin, "clock").await;
    let mut two = definition("watch");
    let mut older = two["versions"][0].clone();
    older["version"] = "0.1".into();
    two["versions"].as_array_mut().unwrap().insert(0, older);
    app.post(&admin, "/api/v1/catalog", two).await.ok(201);
    let document = json!({"name": "com.example/weather", "description": "Weather.", "version": "2.0.0",
        "remotes": [{"type": "sse", "url": "https://w.example/sse",
            "headers": [{"name": "Authorization", "value": "Bearer {token}", "isRequired": true, "variables": {"token": {"isSecret": true}}}]}]});
    app.post(&admin, IMPORT, json!({"document": document.to_string()}))
        .await
        .ok(200);

    let bo = app.user(&admin, "bo").await;
    let all = pairs(&[
        ("agentopia/clock", "2.0.0"),
        ("agentopia/clock", "1.0.0"),
        ("agentopia/watch", "2.0.0"),
        ("agentopia/watch", "0.1"),
        ("agentopia/watch", "1.0.0"),
        ("com.example/weather", "2.0.0"),
    ]);
    for limit in ["limit=1", "limit=2", "limit=3", "limit=200", ""] {
        assert_eq!(names(&app, &bo, limit).await, all, "{limit}");
    }
    let latest = names(&app, &bo, "version=latest&limit=1").await;
    assert_eq!(latest.len(), 3);
    assert_eq!(
        names(&app, &bo, "search=weather").await,
        pairs(&[("com.example/weather", "2.0.0")])
    );
    assert_eq!(
        names(&app, &bo, "updated_since=2999-01-01T00:00:00Z").await,
        []
    );
    assert_eq!(
        names(&app, &bo, "updated_since=2000-01-01T00:00:00Z").await,
        all
    );

    app.send(&admin, "DELETE", "/api/v1/catalog/clock", None)
        .await
        .ok(200);
    assert_eq!(names(&app, &bo, "").await, all[2..]);
    assert_eq!(names(&app, &bo, "include_deleted=true").await, all);

    for bad in [
        "cursor=zzz",
        "limit=0",
        "limit=1000",
        "updated_since=yesterday",
    ] {
        let answered = app.get(&bo, &format!("/v0.1/servers?{bad}")).await;
        assert_eq!(answered.status, 400, "{bad}: {}", answered.text);
    }
    app.get(&Client::default(), "/v0.1/servers")
        .await
        .problem(401, "not_signed_in");
}

#[tokio::test]
async fn a_server_is_shown_by_name_and_reads_back_as_the_same_entry() {
    let (app, admin) = App::with_admin().await;
    let document = json!({"name": "com.example/tool", "title": "Tool", "description": "Does it.", "version": "1.2.3",
        "packages": [{"registryType": "oci", "identifier": "registry.example/team/tool:1.2.3", "transport": {"type": "stdio"},
            "packageArguments": [{"type": "named", "name": "--zone", "default": "UTC"}],
            "environmentVariables": [{"name": "API_KEY", "isSecret": true, "isRequired": true, "description": "From its page."}]}]});
    app.post(&admin, IMPORT, json!({"document": document.to_string()}))
        .await
        .ok(200);
    let path = "/v0.1/servers/com.example%2Ftool/versions";
    let versions = app.get(&admin, path).await.ok(200);
    assert_eq!(versions["servers"].as_array().unwrap().len(), 1);
    let shown = app.get(&admin, &format!("{path}/latest")).await.ok(200);
    assert_eq!(shown, versions["servers"][0]);
    assert_eq!(
        shown,
        app.get(&admin, &format!("{path}/1.2.3")).await.ok(200)
    );
    let meta = &shown["_meta"]["io.modelcontextprotocol.registry/official"];
    assert_eq!(
        (&meta["status"], &meta["isLatest"]),
        (&json!("active"), &json!(true))
    );
    let package = &shown["server"]["packages"][0];
    assert_eq!(package["identifier"], "registry.example/team/tool:1.2.3");
    assert_eq!(
        package["environmentVariables"][0],
        json!({"name": "API_KEY", "description": "From its page.", "isRequired": true, "isSecret": true})
    );

    // Another installation reads what this one shows.
    let again = json!({"document": shown.to_string()});
    let again = app.post(&admin, IMPORT, again).await.ok(200);
    let read = &again["items"][0]["definition"];
    assert_eq!(again["items"][0]["outcome"], "unchanged", "{read}");

    for missing in ["com.example%2Fnothing", "agentopia%2Ftool", "nonsense"] {
        app.get(&admin, &format!("/v0.1/servers/{missing}/versions"))
            .await
            .problem(404, "not_found");
    }
    app.get(&admin, &format!("{path}/9.9"))
        .await
        .problem(404, "not_found");
}
