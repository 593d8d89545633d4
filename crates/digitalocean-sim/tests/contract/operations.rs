//! Every operation of the contract with good and with bad input, and a proof that none was left out.

use serde_json::{Value, json};

use crate::rig::{Rig, wish};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm";
const NOTHING: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

#[tokio::test]
async fn contract_every_operation_with_good_and_bad_input() {
    let rig = Rig::start().await;
    account_and_places(&rig).await;
    keys(&rig).await;
    images(&rig).await;
    let droplet = droplets(&rig).await;
    droplet_actions(&rig, droplet).await;
    tags(&rig, droplet).await;
    firewalls(&rig, droplet).await;
    projects(&rig, droplet).await;
    removals(&rig, droplet).await;
    assert_eq!(rig.never(|status| status < 300), [], "never answered");
    assert_eq!(rig.never(|status| status >= 400), [], "never refused");
}

/// A list: its pages fit, nonsense for a page is refused.
async fn pages(rig: &Rig, path: &str) {
    for query in [
        "",
        "?per_page=1",
        "?per_page=1&page=2",
        "?per_page=200&page=9",
    ] {
        rig.get(&format!("{path}{query}")).await;
    }
    for query in ["?per_page=0", "?page=0", "?page=x"] {
        rig.bad("GET", &format!("{path}{query}"), None, 422).await;
    }
}

async fn account_and_places(rig: &Rig) {
    rig.get("/v2/account").await;
    let answer = rig.call(None, "GET", "/v2/account", None).await;
    assert_eq!((answer.status, answer.own_violations().len()), (401, 0));
    pages(rig, "/v2/regions").await;
    pages(rig, "/v2/sizes").await;
}

async fn keys(rig: &Rig) {
    let keys = "/v2/account/keys";
    let body = json!({"name": "me", "public_key": KEY});
    let key = rig.good("POST", keys, Some(body.clone()), 201).await["ssh_key"].clone();
    rig.bad("POST", keys, Some(body), 422).await;
    rig.bad("POST", keys, Some(json!({"name": "me"})), 422)
        .await;
    pages(rig, keys).await;
    let path = format!("{keys}/{}", key["id"]);
    rig.get(&path).await;
    rig.get(&format!("{keys}/{}", key["fingerprint"].as_str().unwrap()))
        .await;
    rig.bad("GET", &format!("{keys}/1"), None, 404).await;
    rig.good("PUT", &path, Some(json!({"name": "you"})), 200)
        .await;
    rig.bad("PUT", &path, Some(json!({"name": 5})), 422).await;
    rig.good("DELETE", &path, None, 204).await;
    rig.bad("DELETE", &path, None, 404).await;
}

async fn images(rig: &Rig) {
    let images = "/v2/images";
    pages(rig, images).await;
    for query in [
        "type=distribution",
        "type=application",
        "private=true",
        "tag_name=a",
    ] {
        rig.get(&format!("{images}?{query}")).await;
    }
    rig.bad("GET", &format!("{images}?type=boats"), None, 422)
        .await;
    rig.get(&format!("{images}/ubuntu-24-04-x64")).await;
    rig.bad("GET", &format!("{images}/dos"), None, 404).await;
    let body = json!({"name": "mine", "url": "https://example.com/i.qcow2", "region": "fra1",
        "distribution": "Debian", "description": "d", "tags": ["base"]});
    let image = rig.good("POST", images, Some(body.clone()), 202).await["image"].clone();
    rig.bad("POST", images, Some(json!({"name": "mine"})), 422)
        .await;
    let path = format!("{images}/{}", image["id"]);
    rig.get(&path).await;
    rig.pass(30);
    rig.get(&path).await;
    rig.good("PUT", &path, Some(json!({"name": "ours"})), 200)
        .await;
    rig.bad(
        "PUT",
        &format!("{images}/1"),
        Some(json!({"name": "x"})),
        404,
    )
    .await;
    rig.bad(
        "PUT",
        &format!("{images}/155133621"),
        Some(json!({"name": "x"})),
        403,
    )
    .await;
    rig.good("DELETE", &path, None, 204).await;
    rig.bad("DELETE", &path, None, 404).await;
}

async fn droplets(rig: &Rig) -> u64 {
    let droplets = "/v2/droplets";
    let mut several = wish("env:2");
    several.as_object_mut().unwrap().remove("name");
    several["names"] = json!(["a", "b"]);
    rig.good("POST", droplets, Some(several), 202).await;
    let droplet = rig.create("env:1").await;
    let wrong = |field: &str, value: Value| {
        let mut body = wish("env:1");
        body[field] = value;
        Some(body)
    };
    for (field, value) in [
        ("name", json!("a_b")),
        ("name", json!("x".repeat(256))),
        ("name", json!(5)),
        ("size", json!("huge")),
        ("size", json!("s-1vcpu-512mb-10gb")),
        ("image", json!("dos")),
        ("image", json!(1)),
        ("region", json!("mars1")),
        ("region", json!("nyc2")),
        ("tags", json!(["a b"])),
        ("ssh_keys", json!([1])),
        ("volumes", json!(["v"])),
        ("vpc_uuid", json!(NOTHING)),
        ("user_data", json!("x".repeat(65_537))),
        ("names", json!(["a"])),
    ] {
        rig.bad("POST", droplets, wrong(field, value), 422).await;
    }
    rig.bad("POST", droplets, Some(json!({})), 422).await;
    let mut settings = rig.simulator.settings();
    settings.droplet_limit = 3;
    rig.simulator.set_settings(settings.clone());
    rig.bad("POST", droplets, Some(wish("env:1")), 422).await;
    settings.droplet_limit = 25;
    rig.simulator.set_settings(settings);
    pages(rig, droplets).await;
    for query in [
        "tag_name=env:1",
        "tag_name=none",
        "name=web",
        "type=droplets",
        "type=gpus",
    ] {
        rig.get(&format!("{droplets}?{query}")).await;
    }
    rig.bad("GET", &format!("{droplets}?tag_name=a&name=b"), None, 422)
        .await;
    rig.get(&format!("{droplets}/{droplet}")).await;
    rig.bad("GET", &format!("{droplets}/1"), None, 404).await;
    droplet
}

async fn droplet_actions(rig: &Rig, droplet: u64) {
    let actions = format!("/v2/droplets/{droplet}/actions");
    let power_off = || Some(json!({"type": "power_off"}));
    rig.bad("POST", &actions, power_off(), 422).await;
    rig.pass(25);
    for wrong in [
        json!({"type": "explode"}),
        json!({"type": "resize"}),
        json!({"type": "resize", "size": "s-2vcpu-4gb"}),
        json!({"type": "rename", "name": "a_b"}),
        json!({"type": "rebuild", "image": "debian-12-x64"}),
        json!({"type": "restore", "image": 1}),
        json!({"type": "change_kernel", "kernel": 1}),
    ] {
        rig.bad("POST", &actions, Some(wrong), 422).await;
    }
    let action = rig.act(droplet, json!({"type": "power_off"})).await;
    rig.bad("POST", &actions, power_off(), 422).await;
    rig.bad("POST", "/v2/droplets/1/actions", power_off(), 404)
        .await;
    pages(rig, &actions).await;
    rig.bad("GET", "/v2/droplets/1/actions", None, 404).await;
    rig.get(&format!("{actions}/{action}")).await;
    rig.bad("GET", &format!("{actions}/1"), None, 404).await;
    pages(rig, "/v2/actions").await;
    rig.get(&format!("/v2/actions/{action}")).await;
    rig.bad("GET", "/v2/actions/1", None, 404).await;
    rig.pass(5);
    let by_tag = "/v2/droplets/actions?tag_name=env:1";
    // Whatever is sent here fits two schemas of which exactly one has to fit.
    rig.odd(
        "POST",
        by_tag,
        json!({"type": "snapshot", "name": "s"}),
        201,
    )
    .await;
    rig.bad("POST", by_tag, Some(json!({"type": "reboot"})), 422)
        .await;
    rig.bad(
        "POST",
        "/v2/droplets/actions?tag_name=none",
        power_off(),
        404,
    )
    .await;
    rig.pass(5);
}

async fn tags(rig: &Rig, droplet: u64) {
    let tags = "/v2/tags";
    rig.good("POST", tags, Some(json!({"name": "spare"})), 201)
        .await;
    rig.good("POST", tags, Some(json!({"name": "spare"})), 201)
        .await;
    rig.bad("POST", tags, Some(json!({"name": "a b"})), 422)
        .await;
    rig.bad("POST", tags, Some(json!({})), 422).await;
    pages(rig, tags).await;
    let resources = |id: u64| {
        Some(json!({"resources": [{"resource_id": id.to_string(), "resource_type": "droplet"}]}))
    };
    let spare = "/v2/tags/spare/resources";
    rig.good("POST", spare, resources(droplet), 204).await;
    rig.bad("POST", spare, resources(1), 404).await;
    rig.bad(
        "POST",
        spare,
        Some(json!({"resources": [{"resource_type": "boat"}]})),
        422,
    )
    .await;
    rig.get("/v2/tags/spare").await;
    rig.bad("GET", "/v2/tags/none", None, 404).await;
    rig.good("DELETE", spare, resources(droplet), 204).await;
    rig.bad("DELETE", "/v2/tags/none/resources", resources(droplet), 404)
        .await;
    rig.good("DELETE", "/v2/tags/spare", None, 204).await;
    rig.bad("DELETE", "/v2/tags/spare", None, 404).await;
}

async fn firewalls(rig: &Rig, droplet: u64) {
    let firewalls = "/v2/firewalls";
    let rule = |ports: &str| json!({"protocol": "tcp", "ports": ports, "sources": {"addresses": ["0.0.0.0/0", "::/0"]}});
    let body =
        json!({"name": "base", "inbound_rules": [rule("all")], "droplet_ids": null, "tags": null});
    let made = rig.good("POST", firewalls, Some(body.clone()), 202).await;
    rig.bad("POST", firewalls, Some(body.clone()), 409).await;
    for (field, value) in [
        ("name", json!("-")),
        ("tags", json!(["none"])),
        ("droplet_ids", json!([1])),
        ("inbound_rules", json!([])),
        ("inbound_rules", json!([rule("99999")])),
        (
            "inbound_rules",
            json!([{"protocol": "gre", "ports": "1", "sources": {}}]),
        ),
    ] {
        let mut wrong = body.clone();
        wrong["name"] = json!("other");
        wrong[field] = value;
        rig.bad("POST", firewalls, Some(wrong), 422).await;
    }
    pages(rig, firewalls).await;
    let path = format!("{firewalls}/{}", made["firewall"]["id"].as_str().unwrap());
    let none = format!("{firewalls}/{NOTHING}");
    rig.get(&path).await;
    rig.bad("GET", &none, None, 404).await;
    rig.good("PUT", &path, Some(body.clone()), 200).await;
    rig.bad("PUT", &none, Some(body), 404).await;

    for (part, good, bad) in [
        (
            "droplets",
            json!({"droplet_ids": [droplet]}),
            json!({"droplet_ids": [1]}),
        ),
        (
            "tags",
            json!({"tags": ["env:1"]}),
            json!({"tags": ["none"]}),
        ),
        (
            "rules",
            json!({"inbound_rules": [rule("443")]}),
            json!({"outbound_rules": []}),
        ),
    ] {
        let part_path = format!("{path}/{part}");
        rig.good("POST", &part_path, Some(good.clone()), 204).await;
        rig.bad("POST", &part_path, Some(bad), 422).await;
        rig.bad("POST", &part_path, Some(json!([])), 422).await;
        rig.get(&path).await;
        rig.good("DELETE", &part_path, Some(good.clone()), 204)
            .await;
        rig.bad("DELETE", &format!("{none}/{part}"), Some(good), 404)
            .await;
    }
    pages(rig, &format!("/v2/droplets/{droplet}/firewalls")).await;
    rig.bad("GET", "/v2/droplets/1/firewalls", None, 404).await;
    rig.good("DELETE", &path, None, 204).await;
    rig.bad("DELETE", &path, None, 404).await;
}

async fn projects(rig: &Rig, droplet: u64) {
    let projects = "/v2/projects";
    let body = json!({"name": "agents", "purpose": "Web Application", "environment": "Production"});
    let made = rig.good("POST", projects, Some(body.clone()), 201).await;
    rig.good(
        "POST",
        projects,
        Some(json!({"name": "bare", "purpose": "mine"})),
        201,
    )
    .await;
    rig.bad("POST", projects, Some(body), 409).await;
    rig.bad(
        "POST",
        projects,
        Some(json!({"name": "x".repeat(176), "purpose": "p"})),
        422,
    )
    .await;
    pages(rig, projects).await;
    let path = format!("{projects}/{}", made["project"]["id"].as_str().unwrap());
    let none = format!("{projects}/{NOTHING}");
    let whole = |name: &str, is_default: bool| {
        Some(json!({"name": name, "description": "d", "purpose": "IoT",
            "environment": "Staging", "is_default": is_default}))
    };
    let urns = |urn: String| Some(json!({"resources": [urn]}));
    for (path, missing, name) in [
        (path.clone(), Some(none), "agents"),
        (format!("{projects}/default"), None, "first"),
    ] {
        let is_default = missing.is_none();
        rig.get(&path).await;
        rig.good("PUT", &path, whole(name, is_default), 200).await;
        rig.bad("PUT", &path, Some(json!({"name": "x"})), 422).await;
        rig.good("PATCH", &path, Some(json!({"description": "e"})), 200)
            .await;
        rig.bad("PATCH", &path, Some(json!({"name": "bare"})), 409)
            .await;
        let resources = format!("{path}/resources");
        for urn in [
            format!("do:droplet:{droplet}"),
            "do:droplet:1".to_owned(),
            "do:volume:1".to_owned(),
        ] {
            rig.good("POST", &resources, urns(urn), 200).await;
        }
        rig.good(
            "POST",
            &resources,
            urns(format!("do:droplet:{droplet}")),
            200,
        )
        .await;
        rig.bad("POST", &resources, urns("boat".to_owned()), 422)
            .await;
        rig.get(&resources).await;
        rig.bad("GET", &format!("{resources}?page=0"), None, 422)
            .await;
        if let Some(missing) = missing {
            pages(rig, &resources).await;
            rig.bad("GET", &missing, None, 404).await;
            rig.bad("GET", &format!("{missing}/resources"), None, 404)
                .await;
            rig.bad("DELETE", &path, None, 412).await;
        }
    }
    rig.good("DELETE", &path, None, 204).await;
    rig.bad("DELETE", &path, None, 404).await;
    // The default project is there as long as the account is: only a token can be wrong.
    let answer = rig
        .call(Some("wrong"), "GET", "/v2/projects/default", None)
        .await;
    assert_eq!((answer.status, answer.own_violations().len()), (401, 0));
}

async fn removals(rig: &Rig, droplet: u64) {
    let path = format!("/v2/droplets/{droplet}");
    rig.good("DELETE", &path, None, 204).await;
    rig.bad("DELETE", &path, None, 422).await;
    rig.pass(8);
    rig.bad("DELETE", &path, None, 404).await;
    rig.good("DELETE", "/v2/droplets?tag_name=env:2", None, 204)
        .await;
    rig.bad("DELETE", "/v2/droplets?tag_name=none", None, 404)
        .await;
    rig.bad("DELETE", "/v2/droplets", None, 422).await;
}
