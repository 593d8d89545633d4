//! Projects over HTTP.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn a_project_lives() {
    let rig = Rig::new();
    let droplet = rig.droplet("env:1").await;
    let body = json!({"name": "agents", "purpose": "IoT", "environment": "Staging"});
    rig.post("/v2/projects", json!({"name": "agents"}))
        .await
        .refused(422);
    let made = rig.post("/v2/projects", body.clone()).await.with(201)["project"].clone();
    assert_eq!(
        (&made["purpose"], &made["is_default"]),
        (&json!("IoT"), &json!(false))
    );
    rig.post("/v2/projects", body).await.refused(409);
    let path = format!("/v2/projects/{}", made["id"].as_str().unwrap());

    let urn = format!("do:droplet:{droplet}");
    let default = rig.get("/v2/projects/default/resources").await.with(200);
    assert_eq!(
        (
            &default["resources"][0]["urn"],
            &default["resources"][0]["status"]
        ),
        (&json!(urn), &json!("ok"))
    );
    let wish = json!({"resources": [urn, "do:droplet:1"]});
    let assigned = rig
        .post(&format!("{path}/resources"), wish.clone())
        .await
        .with(200);
    let statuses = |body: &serde_json::Value| {
        let all = body["resources"].as_array().unwrap();
        all.iter()
            .map(|r| r["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(statuses(&assigned), ["assigned", "not_found"]);
    let again = rig.post(&format!("{path}/resources"), wish).await.with(200);
    assert_eq!(statuses(&again), ["already_assigned", "not_found"]);
    rig.post(
        &format!("{path}/resources"),
        json!({"resources": ["droplet:1"]}),
    )
    .await
    .refused(422);
    assert_eq!(
        rig.get(&format!("{path}/resources")).await.with(200)["meta"]["total"],
        1
    );
    rig.delete(&path).await.refused(412);

    rig.call("PUT", &path, Some(json!({"name": "a"})))
        .await
        .refused(422);
    let whole = json!({"name": "a", "description": "d", "purpose": "x", "environment": "Production", "is_default": true});
    let put = rig.call("PUT", &path, Some(whole)).await.with(200)["project"].clone();
    assert_eq!(
        (&put["purpose"], &put["is_default"]),
        (&json!("Other: x"), &json!(true))
    );
    assert_eq!(
        rig.get("/v2/projects/default").await.with(200)["project"]["name"],
        "a"
    );
    rig.call(
        "PATCH",
        "/v2/projects/default",
        Some(json!({"description": "e"})),
    )
    .await
    .with(200);
    rig.call(
        "PATCH",
        "/v2/projects/default",
        Some(json!({"is_default": false})),
    )
    .await
    .refused(422);
    rig.call("PATCH", &path, Some(json!({"name": "x".repeat(176)})))
        .await
        .refused(422);
    assert_eq!(rig.get("/v2/projects").await.with(200)["meta"]["total"], 2);
    rig.delete(&path).await.refused(412);
}

#[tokio::test]
async fn an_empty_project_can_go() {
    let rig = Rig::new();
    let body = json!({"name": "agents", "purpose": "IoT"});
    let made = rig.post("/v2/projects", body).await.with(201);
    let path = format!("/v2/projects/{}", made["project"]["id"].as_str().unwrap());
    rig.delete(&path).await.with(204);
    rig.get(&path).await.refused(404);
}
