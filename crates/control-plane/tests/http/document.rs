//! The OpenAPI document, the table of permissions and the router say the same.

use std::collections::BTreeSet;

use agentopia_control_plane::auth::permission::{Requirement, TABLE, requirement};
use agentopia_control_plane::openapi::openapi_json;
use axum::body::Body;
use serde_json::Value;

use crate::app::{App, Client};

/// Method, path and operation of everything in the document.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// The path with something in place of every parameter.
pub(crate) fn fill(path: &str) -> String {
    path.split('/')
        .map(|part| match part {
            "{entry}" | "{name}" => "something",
            "{host}" => "registry.example.com",
            part if part.starts_with('{') => "00000000-0000-7000-8000-000000000000",
            part => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn every_operation_has_a_requirement_and_every_requirement_an_operation() {
    let documented: BTreeSet<(String, String)> = operations()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let required: BTreeSet<(String, String)> = TABLE
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(documented, required);
}

#[test]
fn operations_are_described_for_the_clients_that_are_made_from_them() {
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
        assert!(operation["summary"].is_string() || operation["description"].is_string());
        let open = requirement(&method, &path) == Some(Requirement::Public);
        assert_eq!(
            operation.get("security").is_none(),
            open,
            "{id}: the document and the table differ"
        );
        assert!(operation["tags"][0].is_string(), "{id}");
    }
}

#[tokio::test]
async fn nothing_but_the_public_answers_to_strangers() {
    let (app, _) = App::with_admin().await;
    let stranger = Client::default();
    for (method, path, _) in operations() {
        let filled = fill(&path);
        let request = stranger.request(&method, &filled);
        let answered = app.raw(request.body(Body::empty()).unwrap()).await;
        match requirement(&method, &path).unwrap() {
            Requirement::Public => assert_ne!(answered.status, 403, "{method} {path}"),
            Requirement::Internal => {
                answered.problem(403, "wrong_internal_secret");
            }
            _ => {
                answered.problem(401, "not_signed_in");
                assert!(answered.headers.contains_key("www-authenticate"));
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let app = App::start().await;
    let served = app.get(&Client::default(), "/api/v1/openapi.json").await;
    assert_eq!(served.text, openapi_json().unwrap());
}

/// "All of these" where one of them allows no further fields is met by nothing.
#[test]
fn no_composed_schema_contradicts_itself() {
    let document: serde_json::Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let closed = |schema: &serde_json::Value| {
        let name = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next());
        name.map_or(schema, |name| &schemas[name])["additionalProperties"] == false
    };
    for (name, schema) in schemas {
        let parts = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(parts.len() < 2 || !parts.iter().any(closed), "{name}");
    }
    let entry = &schemas["CatalogEntry"];
    for field in ["id", "slug", "versions", "created_at", "updated_at"] {
        assert!(entry["properties"][field].is_object(), "{field}");
        assert!(
            entry["required"]
                .as_array()
                .unwrap()
                .contains(&field.into()),
            "{field}"
        );
    }
}

/// `UPDATE_OPENAPI=1` writes the file anew.
#[test]
fn the_committed_document_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let made = openapi_json().unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/openapi.json is stale: run this test with UPDATE_OPENAPI=1 and commit the file"
    );
}
