//! After how long without use a tool is stopped (TOOL-9): the setting, of the catalog and of the owner.

use serde_json::{Value, json};

use crate::app::{App, Client};

async fn ready() -> (App, Client) {
    let (app, admin) = App::with_admin().await;
    app.catalog_entry(&admin, "clock").await;
    let secret = json!({"value": "v"});
    app.send(&admin, "PUT", "/api/v1/secrets/key", Some(secret))
        .await
        .ok(201);
    (app, admin)
}

fn deployment(idle: Option<Value>) -> Value {
    let mut body = json!({"catalog": "clock", "secrets": {"API_KEY": "key"}});
    if let Some(idle) = idle {
        body["idle"] = idle;
    }
    body
}

fn after(seconds: i64) -> Value {
    json!({"mode": "after", "seconds": seconds})
}

#[tokio::test]
async fn a_tool_is_never_stopped_unless_somebody_says_so() {
    let (app, admin) = ready().await;
    let deploy = async |idle| {
        let body = deployment(idle);
        app.post(&admin, "/api/v1/instances", body).await.ok(202)
    };
    let plain = deploy(None).await;
    assert_eq!(plain["idle"], json!({"mode": "inherit"}));
    assert_eq!(plain["idle_seconds"], Value::Null);
    let sleepy = deploy(Some(after(600))).await;
    assert_eq!(
        (&sleepy["idle"], &sleepy["idle_seconds"]),
        (&after(600), &json!(600))
    );

    let path = format!("/api/v1/instances/{}", plain["id"].as_str().unwrap());
    for (idle, seconds) in [
        (after(60), json!(60)),
        (json!({"mode": "never"}), Value::Null),
        (after(2_592_000), json!(2_592_000)),
        (json!({"mode": "inherit"}), Value::Null),
    ] {
        let body = json!({"idle": idle});
        let changed = app.send(&admin, "PATCH", &path, Some(body)).await.ok(202);
        assert_eq!(
            (&changed["idle"], &changed["idle_seconds"]),
            (&idle, &seconds)
        );
        assert_eq!(app.get(&admin, &path).await.ok(200)["idle"], idle);
    }
}

#[tokio::test]
async fn a_wrong_idle_time_is_refused_and_changes_nothing() {
    let (app, admin) = ready().await;
    let body = deployment(Some(after(600)));
    let made = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    let path = format!("/api/v1/instances/{}", made["id"].as_str().unwrap());
    for wrong in [
        after(59),
        after(0),
        after(-1),
        after(2_592_001),
        after(1 << 40),
        json!({"mode": "after"}),
        json!({"mode": "sometimes"}),
        json!({"mode": "after", "seconds": "600"}),
        json!("never"),
        json!(600),
    ] {
        let body = deployment(Some(wrong.clone()));
        let refused = app.post(&admin, "/api/v1/instances", body).await;
        assert!(matches!(refused.status.as_u16(), 400 | 422), "{wrong}");
        let body = json!({"idle": wrong});
        let refused = app.send(&admin, "PATCH", &path, Some(body)).await;
        assert!(matches!(refused.status.as_u16(), 400 | 422), "{wrong}");
    }
    let refused = app
        .send(&admin, "PATCH", &path, Some(json!({"idle": after(59)})))
        .await;
    let problem = refused.problem(422, "invalid_input");
    assert_eq!(problem["errors"][0]["field"], "idle");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("60 s") && detail.contains("never"),
        "{detail}"
    );
    let listed = app.get(&admin, "/api/v1/instances").await.ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let now = app.get(&admin, &path).await.ok(200);
    assert_eq!((&now["idle"], &now["generation"]), (&after(600), &json!(1)));
}
