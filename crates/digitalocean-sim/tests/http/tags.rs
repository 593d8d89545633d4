//! Tags over HTTP.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn a_tag_is_made_once_and_keeps_its_spelling() {
    let rig = Rig::new();
    let made = rig
        .post("/v2/tags", json!({"name": "PROD"}))
        .await
        .with(201)["tag"]
        .clone();
    assert_eq!(made["resources"]["count"], 0);
    assert!(made["resources"].get("last_tagged_uri").is_none());
    let again = rig
        .post("/v2/tags", json!({"name": "prod"}))
        .await
        .with(201)["tag"]
        .clone();
    assert_eq!(again["name"], "PROD");
    rig.get("/v2/tags/prod").await.refused(404);
    rig.get("/v2/tags/PROD").await.with(200);
    for name in ["", "a b", "a.b", &"x".repeat(256)] {
        rig.post("/v2/tags", json!({"name": name}))
            .await
            .refused(422);
    }
    assert_eq!(rig.get("/v2/tags").await.with(200)["meta"]["total"], 1);
}

#[tokio::test]
async fn resources_are_tagged_and_untagged() {
    let rig = Rig::new();
    let droplet = rig.droplet("env:1").await;
    rig.post("/v2/tags", json!({"name": "x"})).await.with(201);
    let resources = |id: u64| json!({"resources": [{"resource_id": id.to_string(), "resource_type": "droplet"}]});
    rig.post("/v2/tags/none/resources", resources(droplet))
        .await
        .refused(404);
    rig.post("/v2/tags/x/resources", resources(1))
        .await
        .refused(404);
    rig.post("/v2/tags/x/resources", resources(droplet))
        .await
        .with(204);
    let tag = rig.get("/v2/tags/x").await.with(200)["tag"].clone();
    let uri = format!("https://api.digitalocean.com/v2/droplets/{droplet}");
    assert_eq!(
        tag["resources"]["droplets"],
        json!({"count": 1, "last_tagged_uri": uri})
    );
    assert_eq!(tag["resources"]["last_tagged_uri"], uri);
    let shown = rig.get(&format!("/v2/droplets/{droplet}")).await.with(200);
    assert_eq!(shown["droplet"]["tags"], json!(["env:1", "x"]));
    rig.call("DELETE", "/v2/tags/x/resources", Some(resources(droplet)))
        .await
        .with(204);
    rig.delete("/v2/tags/env:1").await.with(204);
    let shown = rig.get(&format!("/v2/droplets/{droplet}")).await.with(200);
    assert_eq!(shown["droplet"]["tags"], json!([]));
    rig.delete("/v2/tags/env:1").await.refused(404);
    let volume = json!({"resources": [{"resource_id": "1", "resource_type": "volume"}]});
    rig.post("/v2/tags/x/resources", volume).await.refused(404);
}

#[tokio::test]
async fn a_bad_request_has_both_shapes() {
    let rig = Rig::new();
    let request = axum::http::Request::post("/v2/tags")
        .header(
            "authorization",
            format!("Bearer {}", digitalocean_sim::FULL_TOKEN),
        )
        .body("{".into());
    let body = rig.send(request.unwrap()).await.with(400);
    assert_eq!(body["id"], "bad_request");
    assert_eq!(
        (&body["error"], &body["root_causes"]),
        (&body["message"], &json!([]))
    );
}
