//! Who may call.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use digitalocean_sim::settings::{Scopes, Token};
use digitalocean_sim::{FULL_TOKEN, READ_TOKEN};
use serde_json::json;

use crate::rig::{Rig, wish};

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let rig = Rig::new();
    for path in ["/v2/account", "/v2/droplets/1", "/v2/nothing"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = rig.send(request).await;
        assert_eq!(answer.refused(401), "Unable to authenticate you");
        assert_eq!(answer.json()["id"], "unauthorized");
        assert_eq!(answer.header("ratelimit-limit"), "5000");
        let wrong = rig.call_as("dop_v1_wrong", "GET", path, None).await;
        assert_eq!(wrong.refused(401), "Unable to authenticate you");
    }
}

#[tokio::test]
async fn a_read_only_token_reads() {
    let rig = Rig::new();
    let call = |method, path, body| rig.call_as(READ_TOKEN, method, path, body);
    call("GET", "/v2/account", None).await.with(200);
    call("GET", "/v2/sizes", None).await.with(200);
    let answer = call("POST", "/v2/droplets", Some(wish("web", "a"))).await;
    assert_eq!(
        answer.refused(403),
        "you do not have access for the attempted action"
    );
    assert_eq!(answer.json()["id"], "forbidden");
    let droplet = rig.droplet("a").await;
    let path = format!("/v2/droplets/{droplet}");
    call("DELETE", &path, None).await.refused(403);
    let act = json!({"type": "power_off"});
    call("POST", &format!("{path}/actions"), Some(act))
        .await
        .refused(403);
}

/// Every call, and a scope without which it is refused.
#[tokio::test]
async fn every_call_wants_its_scope() {
    let rig = Rig::new();
    let id = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
    let firewall = format!("/v2/firewalls/{id}");
    let project = format!("/v2/projects/{id}");
    let body = json!({
        "name": "a1", "names": null, "public_key": "k", "type": "power_off", "image": 1,
        "droplet_ids": [], "tags": [], "resources": [], "inbound_rules": [], "url": "u",
        "region": "nyc1", "description": "d", "purpose": "p", "environment": "Staging",
        "is_default": true,
    });
    let calls = [
        ("GET", "/v2/account", "account:read"),
        ("GET", "/v2/account/keys", "ssh_key:read"),
        ("POST", "/v2/account/keys", "ssh_key:create"),
        ("GET", "/v2/account/keys/1", "ssh_key:read"),
        ("PUT", "/v2/account/keys/1", "ssh_key:update"),
        ("DELETE", "/v2/account/keys/1", "ssh_key:delete"),
        ("GET", "/v2/actions", "actions:read"),
        ("GET", "/v2/actions/1", "actions:read"),
        ("GET", "/v2/droplets", "droplet:read"),
        ("POST", "/v2/droplets", "droplet:create"),
        ("DELETE", "/v2/droplets?tag_name=a", "droplet:delete"),
        ("POST", "/v2/droplets/actions?tag_name=a", "droplet:update"),
        ("GET", "/v2/droplets/1", "droplet:read"),
        ("DELETE", "/v2/droplets/1", "droplet:delete"),
        ("GET", "/v2/droplets/1/actions", "droplet:read"),
        ("POST", "/v2/droplets/1/actions", "droplet:update"),
        ("GET", "/v2/droplets/1/actions/1", "droplet:read"),
        ("GET", "/v2/droplets/1/firewalls", "firewall:read"),
        ("GET", "/v2/firewalls", "firewall:read"),
        ("POST", "/v2/firewalls", "firewall:create"),
        ("GET", &firewall, "firewall:read"),
        ("PUT", &firewall, "firewall:update"),
        ("DELETE", &firewall, "firewall:delete"),
        ("POST", &format!("{firewall}/droplets"), "firewall:update"),
        ("DELETE", &format!("{firewall}/droplets"), "firewall:update"),
        ("POST", &format!("{firewall}/tags"), "firewall:update"),
        ("DELETE", &format!("{firewall}/tags"), "firewall:update"),
        ("POST", &format!("{firewall}/rules"), "firewall:update"),
        ("DELETE", &format!("{firewall}/rules"), "firewall:update"),
        ("GET", "/v2/images", "image:read"),
        ("POST", "/v2/images", "image:create"),
        ("GET", "/v2/images/1", "image:read"),
        ("PUT", "/v2/images/1", "image:update"),
        ("DELETE", "/v2/images/1", "image:delete"),
        ("GET", "/v2/projects", "project:read"),
        ("POST", "/v2/projects", "project:create"),
        ("GET", &project, "project:read"),
        ("PUT", &project, "project:update"),
        ("PATCH", &project, "project:update"),
        ("DELETE", &project, "project:delete"),
        ("GET", &format!("{project}/resources"), "project:read"),
        (
            "POST",
            &format!("{project}/resources"),
            "project:assign_resource",
        ),
        ("GET", "/v2/projects/default", "project:read"),
        ("PUT", "/v2/projects/default", "project:update"),
        ("PATCH", "/v2/projects/default", "project:update"),
        ("GET", "/v2/projects/default/resources", "project:read"),
        (
            "POST",
            "/v2/projects/default/resources",
            "project:assign_resource",
        ),
        ("GET", "/v2/regions", "regions:read"),
        ("GET", "/v2/sizes", "sizes:read"),
        ("GET", "/v2/tags", "tag:read"),
        ("POST", "/v2/tags", "tag:create"),
        ("GET", "/v2/tags/a", "tag:read"),
        ("DELETE", "/v2/tags/a", "tag:delete"),
        ("POST", "/v2/tags/a/resources", "tag:create"),
        ("DELETE", "/v2/tags/a/resources", "tag:delete"),
    ];
    let all: BTreeSet<_> = calls
        .iter()
        .map(|(.., scope)| (*scope).to_owned())
        .collect();
    for (method, path, scope) in calls {
        let token = |name: &str, scopes| Token {
            name: name.to_owned(),
            secret: name.into(),
            scopes: Scopes::Only(scopes),
        };
        let mut lacking = all.clone();
        lacking.remove(scope);
        // The wider scope grants the narrower one.
        if scope == "project:assign_resource" {
            lacking.remove("project:update");
        }
        rig.simulator
            .set_tokens(vec![token("lacking", lacking), token("all", all.clone())]);
        let sent = || Some(body.clone()).filter(|_| method != "GET");
        let refused = rig.call_as("lacking", method, path, sent()).await;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text);
        let allowed = rig.call_as("all", method, path, sent()).await;
        assert_ne!(allowed.status, 403, "{method} {path}: {}", allowed.text);
        assert_ne!(allowed.status, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn what_a_body_brings_in_wants_scopes_of_its_own() {
    let rig = Rig::new();
    let scopes = [
        "droplet:create",
        "image:read",
        "droplet:update",
        "droplet:read",
    ];
    rig.simulator.set_tokens(vec![Token {
        name: "some".to_owned(),
        secret: "some".into(),
        scopes: Scopes::Only(scopes.map(str::to_owned).into()),
    }]);
    let mut body = wish("web", "a");
    let create = |body| rig.call_as("some", "POST", "/v2/droplets", Some(body));
    create(body.clone()).await.refused(403);
    body["tags"] = json!([]);
    let id = create(body.clone()).await.with(202)["droplet"]["id"].clone();
    body["ssh_keys"] = json!([1]);
    create(body).await.refused(403);
    let path = format!("/v2/droplets/{id}/actions");
    let act = |body| rig.call_as("some", "POST", &path, Some(body));
    act(json!({"type": "snapshot"})).await.refused(403);
    act(json!({"type": "password_reset"})).await.refused(403);
    act(json!({"type": "power_off"})).await.with(201);
    act(json!({"type": "resize", "size": "s-2vcpu-4gb"}))
        .await
        .with(201);
    rig.call_as("some", "GET", "/v2/droplets?tag_name=a", None)
        .await
        .refused(403);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_same_shape() {
    let rig = Rig::new();
    for path in [
        "/",
        "/v2",
        "/v2/volumes",
        "/v2/droplets/x",
        "/v2/droplets/1",
        "/v2/firewalls/1",
    ] {
        let answer = rig.get(path).await;
        assert_eq!(
            answer.refused(404),
            "The resource you requested could not be found.",
            "{path}"
        );
        assert_eq!(answer.json()["id"], "not_found");
    }
    rig.call("PATCH", "/v2/droplets", None).await.refused(405);
    let request = Request::post("/v2/droplets")
        .header("authorization", format!("Bearer {FULL_TOKEN}"))
        .body(Body::from("{"));
    assert_eq!(
        rig.send(request.unwrap()).await.with(400)["id"],
        "bad_request"
    );
    let mut long = wish("web", "a");
    long["user_data"] = json!("x".repeat(2_000_000));
    assert_eq!(
        rig.post("/v2/droplets", long).await.with(413)["id"],
        "payload_too_large"
    );
    let wrong = rig.post("/v2/droplets", json!({"name": 5})).await;
    assert!(wrong.refused(422).contains("string"));
}
