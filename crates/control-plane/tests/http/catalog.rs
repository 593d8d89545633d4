//! Blueprints: everybody browses, admins write.

use serde_json::{Value, json};

use crate::app::{App, definition};

#[tokio::test]
async fn a_blueprint_from_adding_to_archiving() {
    let (app, admin) = App::with_admin().await;
    let made = app.catalog_entry(&admin, "clock").await;
    assert_eq!(made["slug"], "clock", "flat, as written");
    let id = made["id"].as_str().unwrap();
    for path in ["/api/v1/catalog/clock", &format!("/api/v1/catalog/{id}")] {
        assert_eq!(app.get(&admin, path).await.ok(200)["id"], made["id"]);
    }
    app.post(&admin, "/api/v1/catalog", definition("clock"))
        .await
        .problem(409, "duplicate");

    let mut changed = definition("clock");
    changed["description"] = "tells the time".into();
    let path = "/api/v1/catalog/clock";
    let answer = app
        .send(&admin, "PUT", path, Some(changed.clone()))
        .await
        .ok(200);
    assert_eq!(answer["description"], "tells the time");
    assert_eq!(answer["id"], made["id"]);
    changed["slug"] = "watch".into();
    app.send(&admin, "PUT", path, Some(changed))
        .await
        .problem(422, "invalid_input");

    let answer = app.send(&admin, "DELETE", path, None).await.ok(200);
    assert_eq!(answer["status"], "archived");
    let listed = app.get(&admin, "/api/v1/catalog").await.ok(200);
    assert_eq!(listed["items"], json!([]));
    let listed = app
        .get(&admin, "/api/v1/catalog?status=archived")
        .await
        .ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn browsing_goes_page_by_page() {
    let (app, admin) = App::with_admin().await;
    for slug in ["a", "b", "c"] {
        app.catalog_entry(&admin, slug).await;
    }
    let bo = app.user(&admin, "bo").await;
    let mut seen = Vec::new();
    let mut path = "/api/v1/catalog?limit=2".to_owned();
    loop {
        let page = app.get(&bo, &path).await.ok(200);
        for item in page["items"].as_array().unwrap() {
            seen.push(item["slug"].as_str().unwrap().to_owned());
        }
        match &page["next_cursor"] {
            Value::String(cursor) => path = format!("/api/v1/catalog?limit=2&cursor={cursor}"),
            _ => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c"]);
    let found = app
        .get(&bo, "/api/v1/catalog?category=testing")
        .await
        .ok(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 3);
    let found = app.get(&bo, "/api/v1/catalog?search=zzz").await.ok(200);
    assert_eq!(found["items"], json!([]));
    app.post(&bo, "/api/v1/catalog", definition("d"))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_blueprint_that_can_not_work_is_refused_with_every_reason() {
    let (app, admin) = App::with_admin().await;
    let mut bad = definition("clock");
    bad["default_version"] = "9".into();
    bad["icon"] = "javascript:alert(1)".into();
    bad["config"]["schema"] = json!({"type": "object", "properties": 3});
    bad["config"]["bindings"] = json!([]);
    let problem = app
        .post(&admin, "/api/v1/catalog", bad)
        .await
        .problem(422, "invalid_input");
    let fields: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["default_version", "icon", "config.schema"]);
}
