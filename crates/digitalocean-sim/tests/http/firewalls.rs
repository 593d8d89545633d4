//! Firewalls over HTTP.

use serde_json::{Value, json};

use crate::rig::Rig;

fn rule(protocol: &str, ports: &str) -> Value {
    json!({"protocol": protocol, "ports": ports, "sources": {"addresses": ["0.0.0.0/0", "::/0"]}})
}

#[tokio::test]
async fn a_firewall_lives() {
    let rig = Rig::slow();
    let droplet = rig.droplet("env:1").await;
    let body = json!({
        "name": "base",
        "inbound_rules": [rule("tcp", "22"), rule("tcp", "all"), rule("icmp", "0")],
        "outbound_rules": null,
        "droplet_ids": [droplet],
        "tags": null,
    });
    let made = rig.post("/v2/firewalls", body.clone()).await.with(202)["firewall"].clone();
    assert_eq!(made["status"], "waiting");
    let pending = json!([{"droplet_id": droplet, "removing": false, "status": "waiting"}]);
    assert_eq!(made["pending_changes"], pending);
    let ports: Vec<_> = made["inbound_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["ports"])
        .collect();
    assert_eq!(ports, ["22", "0", "0"]);
    let conflict = rig.post("/v2/firewalls", body).await;
    assert_eq!(conflict.refused(409), "duplicate name");

    rig.pass(2);
    let path = format!("/v2/firewalls/{}", made["id"].as_str().unwrap());
    let shown = rig.get(&path).await.with(200)["firewall"].clone();
    assert_eq!(
        (&shown["status"], &shown["pending_changes"]),
        (&json!("succeeded"), &json!([]))
    );
    let of_droplet = rig
        .get(&format!("/v2/droplets/{droplet}/firewalls"))
        .await
        .with(200);
    assert_eq!(of_droplet["firewalls"][0]["name"], "base");

    let rules = json!({"inbound_rules": [rule("tcp", "443")]});
    rig.post(&format!("{path}/rules"), rules.clone())
        .await
        .with(204);
    assert_eq!(
        rig.post(&format!("{path}/rules"), rules.clone())
            .await
            .refused(409),
        "duplicate rule"
    );
    rig.call("DELETE", &format!("{path}/rules"), Some(rules.clone()))
        .await
        .with(204);
    rig.call("DELETE", &format!("{path}/rules"), Some(rules))
        .await
        .refused(422);
    let read_back = json!({"inbound_rules": [rule("tcp", "0")]});
    rig.call("DELETE", &format!("{path}/rules"), Some(read_back))
        .await
        .with(204);

    let tags = json!({"tags": ["nix"]});
    assert_eq!(
        rig.post(&format!("{path}/tags"), tags).await.refused(422),
        "tag nix does not exist"
    );
    let tags = json!({"tags": ["env:1"]});
    rig.post(&format!("{path}/tags"), tags.clone())
        .await
        .with(204);
    let droplets = json!({"droplet_ids": [droplet]});
    rig.call(
        "DELETE",
        &format!("{path}/droplets"),
        Some(droplets.clone()),
    )
    .await
    .with(204);
    let shown = rig.get(&path).await.with(200)["firewall"].clone();
    assert_eq!(
        (&shown["droplet_ids"], &shown["tags"]),
        (&json!([]), &json!(["env:1"]))
    );
    rig.call("DELETE", &format!("{path}/tags"), Some(tags))
        .await
        .with(204);
    rig.post(&format!("{path}/droplets"), droplets)
        .await
        .with(204);

    let whole = json!({"name": "base2", "outbound_rules": [
        {"protocol": "udp", "ports": "53", "destinations": {"tags": ["env:1"], "droplet_ids": [droplet]}}
    ]});
    let put = rig.call("PUT", &path, Some(whole)).await.with(200)["firewall"].clone();
    assert_eq!(
        (&put["name"], &put["inbound_rules"]),
        (&json!("base2"), &json!([]))
    );
    assert_eq!(put["droplet_ids"], json!([]));
    let to = json!({"tags": ["env:1"], "droplet_ids": [droplet]});
    assert_eq!(put["outbound_rules"][0]["destinations"]["tags"], to["tags"]);

    rig.delete(&path).await.with(204);
    rig.get(&path).await.refused(404);
}

#[tokio::test]
async fn forms_are_checked() {
    let rig = Rig::new();
    let create = async |body: Value| rig.post("/v2/firewalls", body).await.refused(422);
    create(json!({"inbound_rules": [rule("tcp", "22")]})).await;
    create(json!({"name": "base"})).await;
    create(json!({"name": "base", "inbound_rules": [rule("sctp", "22")]})).await;
    create(json!({"name": "base", "inbound_rules": [{"protocol": "tcp", "ports": "22"}]})).await;
    let mut balancer = rule("tcp", "22");
    balancer["sources"]["load_balancer_uids"] = json!(["4de7ac8b"]);
    create(json!({"name": "base", "inbound_rules": [balancer]})).await;
    let made = rig
        .post(
            "/v2/firewalls",
            json!({"name": "base", "inbound_rules": [rule("tcp", "22")]}),
        )
        .await
        .with(202);
    let path = format!(
        "/v2/firewalls/{}/rules",
        made["firewall"]["id"].as_str().unwrap()
    );
    rig.post(&path, json!({})).await.refused(422);
}
