//! Droplets over HTTP.

use serde_json::json;

use crate::rig::{Rig, wish};

#[tokio::test]
async fn a_created_droplet_is_accepted_new_and_without_networks() {
    let rig = Rig::slow();
    let answer = rig
        .post("/v2/droplets", wish("web", "env:1"))
        .await
        .with(202);
    let droplet = &answer["droplet"];
    assert_eq!(droplet["status"], "new");
    assert_eq!(droplet["networks"], json!({"v4": [], "v6": []}));
    assert_eq!(droplet["tags"], json!(["env:1"]));
    assert_eq!(droplet["size_slug"], "s-1vcpu-2gb");
    assert_eq!(
        (&droplet["vcpus"], &droplet["memory"], &droplet["disk"]),
        (&json!(1), &json!(2048), &json!(50))
    );
    let link = &answer["links"]["actions"][0];
    assert_eq!(link["rel"], "create");
    let href = format!("https://api.digitalocean.com/v2/actions/{}", link["id"]);
    assert_eq!(link["href"], href);
    let path = format!("/v2/actions/{}", link["id"]);
    let action = rig.get(&path).await.with(200)["action"].clone();
    assert_eq!(
        (&action["type"], &action["status"]),
        (&json!("create"), &json!("in-progress"))
    );
    assert_eq!(action["completed_at"], json!(null));
    assert_eq!(action["resource_id"], droplet["id"]);

    rig.pass(20);
    let path = format!("/v2/droplets/{}", droplet["id"]);
    let shown = rig.get(&path).await.with(200)["droplet"].clone();
    assert_eq!(shown["status"], "active");
    let types = |shown: &serde_json::Value| {
        let networks = shown["networks"]["v4"].as_array().unwrap();
        networks
            .iter()
            .map(|n| n["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&shown), ["private"]);
    rig.pass(2);
    let shown = rig.get(&path).await.with(200)["droplet"].clone();
    assert_eq!(types(&shown), ["private", "public"]);
    assert_eq!(shown["networks"]["v4"][1]["ip_address"], "203.0.113.2");
    let action = rig
        .get(&format!("/v2/actions/{}", link["id"]))
        .await
        .with(200);
    assert_eq!(action["action"]["status"], "completed");
    assert_eq!(action["action"]["completed_at"], "2024-10-04T00:00:20Z");
}

#[tokio::test]
async fn several_are_made_at_once() {
    let rig = Rig::new();
    let mut body = wish("web", "env:1");
    body["names"] = json!(["a", "b"]);
    rig.post("/v2/droplets", body.clone()).await.refused(422);
    body.as_object_mut().unwrap().remove("name");
    let answer = rig.post("/v2/droplets", body.clone()).await.with(202);
    assert_eq!(answer["droplets"].as_array().unwrap().len(), 2);
    assert_eq!(answer["links"]["actions"].as_array().unwrap().len(), 2);
    body["names"] = json!(["only"]);
    let answer = rig.post("/v2/droplets", body).await.with(202);
    assert_eq!(answer["droplets"][0]["name"], "only");
}

#[tokio::test]
async fn refusals_have_the_words_that_clients_know() {
    let rig = Rig::new();
    for (field, value, message) in [
        (
            "name",
            json!("a_b"),
            "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
        ),
        (
            "size",
            json!("huge"),
            "You specified an invalid size for Droplet creation.",
        ),
        (
            "size",
            json!(null),
            "You specified an invalid size for Droplet creation.",
        ),
        (
            "image",
            json!("dos"),
            "You specified an invalid image for Droplet creation.",
        ),
        (
            "image",
            json!(7),
            "You specified an invalid image for Droplet creation.",
        ),
        (
            "region",
            json!("mars1"),
            "You specified an invalid region for Droplet creation.",
        ),
        ("region", json!("ams2"), "Region is not available"),
        (
            "size",
            json!("s-1vcpu-512mb-10gb"),
            "Size is not available in this region.",
        ),
        (
            "ssh_keys",
            json!([1, "ab:cd"]),
            "1, ab:cd are invalid key identifiers for Droplet creation.",
        ),
        (
            "user_data",
            json!("x".repeat(65_537)),
            "User data is too long (maximum is 64 KiB)",
        ),
    ] {
        let mut body = wish("web", "env:1");
        body[field] = value;
        assert_eq!(rig.post("/v2/droplets", body).await.refused(422), message);
    }
    let mut settings = rig.simulator.settings();
    settings.droplet_limit = 0;
    rig.simulator.set_settings(settings);
    assert_eq!(
        rig.post("/v2/droplets", wish("web", "env:1"))
            .await
            .refused(422),
        "creating this/these droplet(s) will exceed your droplet limit"
    );
}

#[tokio::test]
async fn lists_are_filtered() {
    let rig = Rig::new();
    let one = rig.droplet("env:1").await;
    rig.droplet("env:2").await;
    let ids = async |query: &str| {
        let list = rig.get(&format!("/v2/droplets?{query}")).await.with(200);
        let droplets = list["droplets"].as_array().unwrap().clone();
        assert_eq!(list["meta"]["total"], droplets.len());
        droplets
            .iter()
            .map(|d| d["id"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("tag_name=env%3A1").await, [one]);
    assert_eq!(ids("tag_name=env:1").await, [one]);
    assert_eq!(ids("name=WEB").await.len(), 2);
    assert_eq!(ids("name=we").await.len(), 0);
    assert_eq!(ids("type=droplets").await.len(), 2);
    assert_eq!(ids("type=gpus").await.len(), 0);
    rig.get("/v2/droplets?tag_name=a&name=b").await.refused(422);
    rig.get("/v2/droplets?type=boats").await.refused(422);
}

#[tokio::test]
async fn deletion_is_204_then_lingering_then_404() {
    let rig = Rig::slow();
    let droplet = rig.droplet("env:1").await;
    let path = format!("/v2/droplets/{droplet}");
    assert_eq!(
        rig.delete(&path).await.refused(422),
        "Droplet already has a pending event."
    );
    rig.pass(20);
    rig.delete(&path).await.with(204);
    rig.get(&path).await.with(200);
    rig.pass(8);
    rig.get(&path).await.refused(404);
    rig.delete(&path).await.refused(404);
    rig.get(&format!("{path}/actions")).await.refused(404);
    let actions = rig.get("/v2/actions").await.with(200);
    assert_eq!(actions["actions"][0]["type"], "destroy");
}

#[tokio::test]
async fn all_with_a_tag_are_deleted_and_never_all() {
    let rig = Rig::new();
    let one = rig.droplet("env:1").await;
    let other = rig.droplet("env:2").await;
    rig.delete("/v2/droplets").await.refused(422);
    rig.delete("/v2/droplets?tag_name=").await.refused(422);
    rig.delete("/v2/droplets?tag_name=none").await.refused(404);
    rig.delete("/v2/droplets?tag_name=env:1").await.with(204);
    rig.get(&format!("/v2/droplets/{one}")).await.refused(404);
    rig.get(&format!("/v2/droplets/{other}")).await.with(200);
}

#[tokio::test]
async fn options_show() {
    let rig = Rig::new();
    let mut body = wish("web", "env:1");
    body["ipv6"] = json!(true);
    body["backups"] = json!(true);
    body["backup_policy"] = json!({"plan": "weekly", "weekday": "SUN", "hour": 4});
    body["monitoring"] = json!(true);
    let id = rig.post("/v2/droplets", body.clone()).await.with(202)["droplet"]["id"].clone();
    let shown = rig.get(&format!("/v2/droplets/{id}")).await.with(200)["droplet"].clone();
    let features = shown["features"].as_array().unwrap();
    assert!(
        ["backups", "ipv6", "monitoring"]
            .iter()
            .all(|f| features.contains(&json!(f)))
    );
    assert_eq!(shown["next_backup_window"]["start"], "2024-10-11T04:00:00Z");
    assert_eq!(shown["networks"]["v6"][0]["type"], "public");
    body["public_networking"] = json!(false);
    rig.post("/v2/droplets", body.clone()).await.refused(422);
    body["ipv6"] = json!(false);
    let id = rig.post("/v2/droplets", body).await.with(202)["droplet"]["id"].clone();
    let shown = rig.get(&format!("/v2/droplets/{id}")).await.with(200)["droplet"].clone();
    assert_eq!(shown["networks"]["v4"].as_array().unwrap().len(), 1);
}
