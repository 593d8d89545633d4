//! What is another account's is, to everybody else, not there.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn another_accounts_things_look_like_unknown_ones() {
    let (app, admin) = App::with_admin().await;
    let mut tool = crate::app::definition("echo");
    tool["secrets"] = json!([{"name": "KEY"}]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let put = |path: &'static str, body: Value| app.send(&admin, "PUT", path, Some(body));
    let secret = put("/api/v1/secrets/key", json!({"value": "v"}))
        .await
        .ok(201);
    let body = json!({"catalog": "echo", "secrets": {"KEY": "key"}});
    let instance = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    let agent = app
        .post(&admin, "/api/v1/agents", json!({"name": "a"}))
        .await
        .ok(201);
    let id = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
    let (instance, agent, secret) = (id(&instance), id(&agent), id(&secret));
    let link = format!("/api/v1/agents/{agent}/links/{instance}");
    app.send(&admin, "PUT", &link, None).await.ok(200);
    let tokens = format!("/api/v1/agents/{agent}/tokens");
    let made = app
        .post(&admin, &tokens, json!({"name": "t"}))
        .await
        .ok(201);
    let token = id(&made["record"]);
    let made = app
        .post(
            &admin,
            "/api/v1/tokens",
            json!({"name": "t", "scopes": ["read"]}),
        )
        .await
        .ok(201);
    let personal = id(&made["record"]);

    let bo = app.user(&admin, "bo").await;
    // Bo has an environment and an agent, so that what is missing is only the other's.
    app.send(&bo, "POST", "/api/v1/environment/enable", None)
        .await
        .ok(202);
    let own = app
        .post(&bo, "/api/v1/agents", json!({"name": "b"}))
        .await
        .ok(201);
    let own = id(&own);

    let nil = uuid::Uuid::nil().to_string();
    let call = json!({"tool": "echo"});
    let cases: Vec<(&str, String, Option<Value>)> = vec![
        ("GET", "/api/v1/instances/{I}".into(), None),
        (
            "PATCH",
            "/api/v1/instances/{I}".into(),
            Some(json!({"name": "x"})),
        ),
        ("PATCH", "/api/v1/instances/{I}".into(), Some(json!({}))),
        ("DELETE", "/api/v1/instances/{I}".into(), None),
        ("POST", "/api/v1/instances/{I}/start".into(), None),
        ("POST", "/api/v1/instances/{I}/stop".into(), None),
        ("POST", "/api/v1/instances/{I}/restart".into(), None),
        ("GET", "/api/v1/instances/{I}/logs".into(), None),
        ("GET", "/api/v1/instances/{I}/tools".into(), None),
        ("POST", "/api/v1/instances/{I}/call".into(), Some(call)),
        (
            "GET",
            "/api/v1/environment/usage?instance_id={I}".into(),
            None,
        ),
        ("GET", "/api/v1/agents/{A}".into(), None),
        (
            "PATCH",
            "/api/v1/agents/{A}".into(),
            Some(json!({"name": "x"})),
        ),
        ("DELETE", "/api/v1/agents/{A}".into(), None),
        ("GET", "/api/v1/agents/{A}/config".into(), None),
        ("GET", "/api/v1/agents/{A}/discovery".into(), None),
        ("GET", "/api/v1/agents/{A}/tokens".into(), None),
        (
            "POST",
            "/api/v1/agents/{A}/tokens".into(),
            Some(json!({"name": "x"})),
        ),
        ("DELETE", "/api/v1/agents/{A}/tokens/{T}".into(), None),
        ("DELETE", format!("/api/v1/agents/{own}/tokens/{{T}}"), None),
        ("GET", "/api/v1/agents/{A}/links".into(), None),
        ("PUT", "/api/v1/agents/{A}/links/{I}".into(), None),
        ("PUT", format!("/api/v1/agents/{own}/links/{{I}}"), None),
        ("DELETE", "/api/v1/agents/{A}/links/{I}".into(), None),
        ("DELETE", "/api/v1/tokens/{P}".into(), None),
        (
            "PUT",
            "/api/v1/secrets/{S}".into(),
            Some(json!({"value": "stolen"})),
        ),
        ("DELETE", "/api/v1/secrets/{S}".into(), None),
        ("DELETE", "/api/v1/secrets/key".into(), None),
    ];
    for (method, template, body) in cases {
        let theirs = template
            .replace("{I}", &instance)
            .replace("{A}", &agent)
            .replace("{T}", &token)
            .replace("{P}", &personal)
            .replace("{S}", &secret);
        let unknown = ["{I}", "{A}", "{T}", "{P}", "{S}"]
            .iter()
            .fold(template.clone(), |path, part| path.replace(part, &nil));
        let mut answers = Vec::new();
        for path in [theirs, unknown] {
            let mut problem = app
                .send(&bo, method, &path, body.clone())
                .await
                .problem(404, "not_found");
            problem["request_id"] = Value::Null;
            answers.push(problem);
        }
        assert_eq!(answers[0], answers[1], "{method} {template}");
    }
    // A foreign secret can't be mapped into one's own tool either.
    let body = json!({"catalog": "echo", "secrets": {"KEY": secret}});
    app.post(&bo, "/api/v1/instances", body)
        .await
        .problem(422, "unknown_secret");
    // Lists have one's own things only.
    for path in ["/api/v1/instances", "/api/v1/secrets", "/api/v1/tokens"] {
        let listed = app.get(&bo, path).await.ok(200);
        assert_eq!(listed["items"], json!([]), "{path}");
    }
    // And nothing of it changed anything.
    let shown = app
        .get(&admin, &format!("/api/v1/instances/{instance}"))
        .await
        .ok(200);
    assert_eq!(shown["generation"], 1);
    let links = app
        .get(&admin, &format!("/api/v1/agents/{agent}/links"))
        .await
        .ok(200);
    assert_eq!(links["items"].as_array().unwrap().len(), 1);
}
