//! Actions over HTTP.

use digitalocean_sim::settings::ResizeWhileOn;
use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn an_action_is_begun_watched_and_done() {
    let rig = Rig::slow();
    let droplet = rig.droplet("env:1").await;
    rig.act(droplet, json!({"type": "power_off"}))
        .await
        .refused(422);
    rig.pass(20);
    let action = rig
        .act(droplet, json!({"type": "power_off"}))
        .await
        .with(201)["action"]
        .clone();
    assert_eq!(action["status"], "in-progress");
    assert_eq!(action["type"], "power_off");
    assert_eq!(action["region_slug"], "fra1");
    let busy = rig.act(droplet, json!({"type": "reboot"})).await;
    assert_eq!(busy.refused(422), "Droplet already has a pending event.");
    rig.pass(5);
    let path = format!("/v2/droplets/{droplet}/actions/{}", action["id"]);
    assert_eq!(
        rig.get(&path).await.with(200)["action"]["status"],
        "completed"
    );
    assert_eq!(rig.status(droplet).await, "off");
    let all = rig
        .get(&format!("/v2/droplets/{droplet}/actions"))
        .await
        .with(200);
    let types: Vec<_> = all["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["type"])
        .collect();
    assert_eq!(types, ["power_off", "create"]);
    let other = rig.droplet("env:2").await;
    let path = format!("/v2/droplets/{other}/actions/{}", action["id"]);
    rig.get(&path).await.refused(404);
}

#[tokio::test]
async fn a_resize_goes_through_off_and_changes_the_price_when_done() {
    let rig = Rig::slow();
    let droplet = rig.droplet("env:1").await;
    rig.pass(20);
    let resize = json!({"type": "resize", "size": "s-4vcpu-8gb", "disk": false});
    rig.act(droplet, resize.clone()).await.refused(422);
    rig.act(droplet, json!({"type": "shutdown"}))
        .await
        .with(201);
    rig.pass(5);
    rig.act(droplet, resize.clone()).await.with(201);
    let shown = async || {
        let shown = rig.get(&format!("/v2/droplets/{droplet}")).await.with(200)["droplet"].clone();
        let price = shown["size"]["price_monthly"].as_f64().unwrap();
        (
            shown["size_slug"].as_str().unwrap().to_owned(),
            price,
            shown["disk"].as_u64().unwrap(),
        )
    };
    assert_eq!(shown().await, ("s-1vcpu-2gb".to_owned(), 12.0, 50));
    rig.pass(60);
    assert_eq!(shown().await, ("s-4vcpu-8gb".to_owned(), 48.0, 50));
    assert_eq!(rig.status(droplet).await, "off");
    let smaller = json!({"type": "resize", "size": "s-1vcpu-1gb"});
    assert_eq!(
        rig.act(droplet, smaller).await.refused(422),
        "Size can not decrease size of Droplet's disk image"
    );
}

#[tokio::test]
async fn while_it_is_on_a_resize_can_power_off() {
    let rig = Rig::new();
    let mut settings = rig.simulator.settings();
    settings.resize_while_on = ResizeWhileOn::PowerOff;
    rig.simulator.set_settings(settings);
    let droplet = rig.droplet("env:1").await;
    assert_eq!(rig.status(droplet).await, "active");
    rig.act(droplet, json!({"type": "resize", "size": "s-2vcpu-2gb"}))
        .await
        .with(201);
    assert_eq!(rig.status(droplet).await, "off");
}

#[tokio::test]
async fn what_is_no_action_is_refused() {
    let rig = Rig::new();
    let droplet = rig.droplet("env:1").await;
    rig.act(droplet, json!({"type": "explode"}))
        .await
        .refused(422);
    rig.act(droplet, json!({})).await.refused(422);
    rig.act(droplet, json!({"type": "resize"}))
        .await
        .refused(422);
    for kind in ["rebuild", "restore", "change_kernel"] {
        let said = rig.act(droplet, json!({"type": kind})).await.refused(422);
        assert!(said.contains("does not simulate"), "{said}");
    }
    rig.act(droplet + 1000, json!({"type": "reboot"}))
        .await
        .refused(404);
}

#[tokio::test]
async fn an_action_for_all_with_a_tag() {
    let rig = Rig::new();
    let (one, other) = (rig.droplet("env:1").await, rig.droplet("env:1").await);
    let path = "/v2/droplets/actions?tag_name=env:1";
    let begun = rig.post(path, json!({"type": "power_off"})).await.with(201);
    assert_eq!(begun["actions"].as_array().unwrap().len(), 2);
    assert_eq!(
        (rig.status(one).await, rig.status(other).await),
        ("off".into(), "off".into())
    );
    rig.post(path, json!({"type": "resize", "size": "s-2vcpu-4gb"}))
        .await
        .refused(422);
    rig.post("/v2/droplets/actions", json!({"type": "power_off"}))
        .await
        .refused(422);
}
