//! Whatever is thrown at the API, the answer is a problem document and nothing changes. The cases
//! are made from the OpenAPI document, so a new route can't be forgotten.

use axum::body::Body;
use http::header;
use serde_json::{Value, json};

use crate::app::{App, Client, INTERNAL_SECRET};

/// Method and path (ids filled in) of every operation with a JSON body, and whether the body is
/// required.
fn operations_with_body() -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for (method, path, operation) in crate::document::operations() {
        if let Some(body) = operation.get("requestBody") {
            found.push((
                method,
                crate::document::fill(&path),
                body["required"] == true,
            ));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

#[tokio::test]
async fn bodies_of_the_wrong_form_are_refused_everywhere() {
    let (app, admin) = App::with_admin().await;
    let before = app.state.store.events().latest_sequence().await.unwrap();
    for (method, path, required) in operations_with_body() {
        let send = |content_type: Option<&'static str>, body: Vec<u8>| {
            let mut request = admin.request(&method, &path);
            if let Some(content_type) = content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            app.raw(request.body(Body::from(body)).unwrap())
        };
        let json = Some("application/json");
        for broken in ["", "{", "nonsense", "\u{0}"] {
            if required || !broken.is_empty() {
                send(json, broken.into()).await.problem(400, "invalid_json");
            }
        }
        send(json, vec![b'"', 0xff, b'"'])
            .await
            .problem(400, "invalid_json");
        for wrong in [
            json!([]),
            json!("text"),
            json!(1),
            json!(null),
            json!({"no_such_field": 1}),
        ] {
            send(json, wrong.to_string().into())
                .await
                .problem(422, "invalid_input");
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
            send(Some(content_type), b"{}".to_vec())
                .await
                .problem(415, "unsupported_media_type");
        }
        let large = vec![b' '; app.state.config.body_limit_bytes + 1];
        send(json, large).await.problem(413, "body_too_large");
    }
    let after = app.state.store.events().latest_sequence().await.unwrap();
    assert_eq!(before, after, "nothing was changed");
}

#[tokio::test]
async fn where_a_body_may_be_absent_an_empty_one_is_none_whatever_it_is_called() {
    let (app, admin) = App::with_admin().await;
    let mut tried = 0;
    for (method, path, required) in operations_with_body() {
        if required {
            continue;
        }
        let send = |content_type: Option<&'static str>, body: Body| {
            let mut request = admin.request(&method, &path);
            if let Some(content_type) = content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            app.raw(request.body(body).unwrap())
        };
        let without = send(None, Body::empty()).await;
        assert!(
            ![400, 415, 422].contains(&without.status.as_u16()),
            "{method} {path}: {}",
            without.text
        );
        for content_type in [Some("application/json"), Some("text/plain"), None] {
            // Also where the length is not known before the end (chunked).
            let nothing: [Result<Vec<u8>, std::io::Error>; 1] = [Ok(Vec::new())];
            let chunked = Body::from_stream(futures::stream::iter(nothing));
            for body in [Body::empty(), chunked] {
                let answered = send(content_type, body).await;
                assert_eq!(
                    answered.status, without.status,
                    "{method} {path}: {}",
                    answered.text
                );
            }
        }
        tried += 1;
    }
    assert!(tried >= 2, "{tried}");
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_refused_by_name() {
    let (app, admin) = App::with_admin().await;
    let cases: &[(&str, &str, Value)] = &[
        (
            "POST",
            "/api/v1/session",
            json!({"email": 1, "password": "x"}),
        ),
        (
            "POST",
            "/api/v1/session",
            json!({"email": "a@b", "password": ["x"]}),
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"email": "a@b", "password": "x", "role": "root"}),
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"email": "nobody", "password": "long enough password", "role": "user"}),
        ),
        (
            "POST",
            "/api/v1/tokens",
            json!({"name": "t", "scopes": "read"}),
        ),
        (
            "POST",
            "/api/v1/tokens",
            json!({"name": "t", "scopes": ["all"]}),
        ),
        ("POST", "/api/v1/tokens", json!({"name": "t", "scopes": []})),
        (
            "POST",
            "/api/v1/tokens",
            json!({"name": "t", "scopes": ["read"], "expires_in_seconds": -1}),
        ),
        (
            "POST",
            "/api/v1/tokens",
            json!({"name": "t", "scopes": ["read"], "expires_in_seconds": 1e12}),
        ),
        ("POST", "/api/v1/agents", json!({"name": ""})),
        ("POST", "/api/v1/agents", json!({"name": "x".repeat(65)})),
        ("POST", "/api/v1/agents", json!({"name": "a\nb"})),
        (
            "POST",
            "/api/v1/agents",
            json!({"name": "a", "description": null}),
        ),
        (
            "POST",
            "/api/v1/instances",
            json!({"catalog": "x", "config": []}),
        ),
        (
            "POST",
            "/api/v1/instances",
            json!({"catalog": "x", "secrets": {"A": 1}}),
        ),
        ("PUT", "/api/v1/secrets/key", json!({"value": 1})),
        ("PUT", "/api/v1/secrets/key", json!({"value": ""})),
        ("PUT", "/api/v1/secrets/%20", json!({"value": "x"})),
        ("PUT", "/api/v1/secrets/a%0Ab", json!({"value": "x"})),
    ];
    for (method, path, body) in cases {
        app.send(&admin, method, path, Some(body.clone()))
            .await
            .problem(422, "invalid_input");
    }
    for path in [
        "/api/v1/agents?limit=x",
        "/api/v1/agents?limit=0",
        "/api/v1/agents?limit=201",
        "/api/v1/agents?page=2",
        "/api/v1/catalog?status=new",
        "/api/v1/events?object_id=1",
        "/api/v1/instances?include_removed=maybe",
    ] {
        app.get(&admin, path).await.problem(400, "invalid_query");
    }
    for path in ["/api/v1/agents?cursor=x", "/api/v1/secrets?cursor="] {
        app.get(&admin, path).await.problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn ids_that_are_none_are_unknown() {
    let (app, admin) = App::with_admin().await;
    for (method, path, operation) in crate::document::operations() {
        if !path.contains('{') || operation.get("requestBody").is_some() {
            continue;
        }
        for odd in ["x", "..%2F..", "%00", "%ff", "-1", "0%27%20OR%201=1"] {
            let path = path
                .split('/')
                .map(|part| if part.starts_with('{') { odd } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let request = admin
                .request(&method, &path)
                .header("x-internal-api-secret", INTERNAL_SECRET);
            let answered = app.raw(request.body(Body::empty()).unwrap()).await;
            answered.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn addresses_and_methods_that_are_none() {
    let (app, admin) = App::with_admin().await;
    for path in ["/api/v1/nothing", "/api/v2/agents", "/internal/x", "/api/"] {
        app.get(&admin, path).await.problem(404, "unknown_route");
    }
    app.send(&admin, "POST", "/somewhere", None)
        .await
        .problem(404, "unknown_route");
    let answered = app.send(&admin, "PUT", "/api/v1/agents", None).await;
    answered.problem(405, "method_not_allowed");
    let allowed = answered.headers[header::ALLOW].to_str().unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    app.send(&Client::default(), "TRACE", "/api/v1/agents", None)
        .await
        .problem(405, "method_not_allowed");
}
