//! Images, keys, sizes, regions, and the account over HTTP.

use serde_json::json;

use crate::rig::{Rig, wish};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm me";

#[tokio::test]
async fn public_images_are_found_by_slug_and_id_and_stay_as_they_are() {
    let rig = Rig::new();
    let image = rig.get("/v2/images/ubuntu-24-04-x64").await.with(200)["image"].clone();
    assert_eq!(
        (&image["public"], &image["status"]),
        (&json!(true), &json!("available"))
    );
    let path = format!("/v2/images/{}", image["id"]);
    assert_eq!(rig.get(&path).await.with(200)["image"], image);
    rig.get("/v2/images/dos").await.refused(404);
    rig.delete(&path).await.refused(403);
    rig.call("PUT", &path, Some(json!({"name": "mine"})))
        .await
        .refused(403);
    let total = async |query: &str| {
        rig.get(&format!("/v2/images?{query}")).await.with(200)["meta"]["total"].clone()
    };
    assert_eq!(total("type=application").await, 1);
    assert_eq!(total("type=distribution").await, 4);
    assert_eq!(total("private=true").await, 0);
    rig.get("/v2/images?type=boats").await.refused(422);
}

#[tokio::test]
async fn a_custom_image_is_imported_used_and_removed() {
    let rig = Rig::slow();
    let body = json!({"name": "mine", "url": "https://example.com/a.qcow2", "region": "fra1",
        "distribution": "BeOS", "tags": ["base"]});
    for (field, value) in [("url", "ftp://x"), ("region", "mars1"), ("name", "")] {
        let mut wrong = body.clone();
        wrong[field] = json!(value);
        rig.post("/v2/images", wrong).await.refused(422);
    }
    let image = rig.post("/v2/images", body).await.with(202)["image"].clone();
    assert_eq!(
        (&image["status"], &image["distribution"]),
        (&json!("NEW"), &json!("Unknown"))
    );
    let mut droplet = wish("web", "a");
    droplet["image"] = image["id"].clone();
    rig.post("/v2/droplets", droplet.clone()).await.refused(422);
    rig.pass(30);
    droplet["region"] = json!("nyc1");
    let elsewhere = rig.post("/v2/droplets", droplet.clone()).await.refused(422);
    assert!(elsewhere.contains("not available in the selected region"));
    droplet["region"] = json!("fra1");
    rig.post("/v2/droplets", droplet).await.with(202);
    let path = format!("/v2/images/{}", image["id"]);
    let change = json!({"name": "ours", "distribution": "Debian", "description": "d"});
    let changed = rig.call("PUT", &path, Some(change)).await.with(200)["image"].clone();
    assert_eq!(
        (&changed["name"], &changed["distribution"]),
        (&json!("ours"), &json!("Debian"))
    );
    assert_eq!(
        rig.get("/v2/images?tag_name=base").await.with(200)["meta"]["total"],
        1
    );
    rig.delete(&path).await.with(204);
    rig.get(&path).await.refused(404);
}

#[tokio::test]
async fn keys_are_kept_and_given_to_droplets() {
    let rig = Rig::new();
    rig.post(
        "/v2/account/keys",
        json!({"name": "me", "public_key": "nonsense"}),
    )
    .await
    .refused(422);
    let body = json!({"name": "me", "public_key": KEY});
    let key = rig.post("/v2/account/keys", body.clone()).await.with(201)["ssh_key"].clone();
    assert_eq!(
        rig.post("/v2/account/keys", body).await.refused(422),
        "SSH Key is already in use on your account"
    );
    let print = key["fingerprint"].as_str().unwrap();
    let path = format!("/v2/account/keys/{print}");
    assert_eq!(rig.get(&path).await.with(200)["ssh_key"], key);
    let renamed = rig
        .call("PUT", &path, Some(json!({"name": "you"})))
        .await
        .with(200);
    assert_eq!(renamed["ssh_key"]["name"], "you");
    let mut droplet = wish("web", "a");
    droplet["ssh_keys"] = json!([key["id"], print]);
    rig.post("/v2/droplets", droplet).await.with(202);
    assert_eq!(
        rig.get("/v2/account/keys").await.with(200)["ssh_keys"][0]["name"],
        "you"
    );
    rig.delete(&format!("/v2/account/keys/{}", key["id"]))
        .await
        .with(204);
    rig.get(&path).await.refused(404);
}

#[tokio::test]
async fn sizes_and_regions_agree() {
    let rig = Rig::new();
    let sizes = rig.get("/v2/sizes").await.with(200)["sizes"].clone();
    let regions = rig.get("/v2/regions").await.with(200)["regions"].clone();
    for size in sizes.as_array().unwrap() {
        for region in regions.as_array().unwrap() {
            let in_size = size["regions"]
                .as_array()
                .unwrap()
                .contains(&region["slug"]);
            let in_region = region["sizes"].as_array().unwrap().contains(&size["slug"]);
            assert_eq!(in_size, in_region, "{} in {}", size["slug"], region["slug"]);
        }
    }
    let priced = |slug: &str| {
        let size = sizes
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["slug"] == slug)
            .unwrap();
        (
            size["vcpus"].clone(),
            size["memory"].clone(),
            size["disk"].clone(),
            size["price_monthly"].clone(),
        )
    };
    for (slug, vcpus, memory, disk, price) in [
        ("s-1vcpu-1gb", 1, 1024, 25, 6.0),
        ("s-1vcpu-2gb", 1, 2048, 50, 12.0),
        ("s-2vcpu-2gb", 2, 2048, 60, 18.0),
        ("s-2vcpu-4gb", 2, 4096, 80, 24.0),
        ("s-4vcpu-8gb", 4, 8192, 160, 48.0),
    ] {
        assert_eq!(
            priced(slug),
            (json!(vcpus), json!(memory), json!(disk), json!(price))
        );
    }
}

#[tokio::test]
async fn the_account_tells_its_limit_and_status() {
    let rig = Rig::new();
    let account = rig.get("/v2/account").await.with(200)["account"].clone();
    assert_eq!(
        (&account["droplet_limit"], &account["status"]),
        (&json!(25), &json!("active"))
    );
}
