//! Import into the catalog: texts, addresses, registries and packages, and what is refused. What is asked
//! of others is answered by a real HTTP server on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{Answered, App, Client};

pub(crate) const IMPORT: &str = "/api/v1/catalog-import";

fn server(name: &str, url: &str) -> Value {
    json!({"server": {"name": name, "description": "x", "version": "1.0.0",
        "remotes": [{"type": "streamable-http", "url": url}]}})
}

/// Five servers, two a page, one of them of a kind that can't be run.
async fn page(Query(query): Query<HashMap<String, String>>) -> axum::Json<Value> {
    let all = [
        server("a.one/weather", "https://one.example/mcp"),
        server("a.two/weather", "https://two.example/mcp"),
        json!({"server": {"name": "a.three/bundle", "description": "x", "version": "1",
            "packages": [{"registryType": "mcpb", "identifier": "https://h.example/x.mcpb"}]}}),
        server("a.four/clock", "https://four.example/mcp"),
        server("a.five/clock-two", "https://five.example/mcp"),
    ];
    assert_eq!(query["version"], "latest");
    let search = query.get("search").map_or("", String::as_str);
    let found: Vec<&Value> = all
        .iter()
        .filter(|it| it["server"]["name"].as_str().unwrap().contains(search))
        .collect();
    let from: usize = query.get("cursor").map_or(0, |it| it.parse().unwrap());
    let limit: usize = query["limit"].parse::<usize>().unwrap().min(2);
    let servers: Vec<&Value> = found.iter().skip(from).take(limit).copied().collect();
    let next = from + servers.len();
    let mut metadata = json!({"count": servers.len()});
    if next < found.len() {
        metadata["nextCursor"] = next.to_string().into();
    }
    axum::Json(json!({"servers": servers, "metadata": metadata}))
}

async fn one(Path((name, version)): Path<(String, String)>) -> Response {
    match (name.as_str(), version.as_str()) {
        ("a.four/clock", "latest" | "1.0.0") => {
            axum::Json(server(&name, "https://four.example/mcp")).into_response()
        }
        _ => (
            StatusCode::NOT_FOUND,
            axum::Json(json!({"error": "Server not found"})),
        )
            .into_response(),
    }
}

async fn npm(Path((name, version)): Path<(String, String)>) -> Response {
    let found = |version: &str| {
        let mut answer =
            json!({"name": name, "version": version, "dist": {"integrity": "sha512-abc"}});
        if name == "old" {
            answer["deprecated"] = "use new".into();
        }
        axum::Json(answer).into_response()
    };
    match (name.as_str(), version.as_str()) {
        ("@a/server-x" | "old", "latest") => found("2.1.0"),
        ("@a/server-x", "1.0.0") => found("1.0.0"),
        ("renamed", _) => Redirect::permanent("/npm/other/latest").into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn pypi(Path(name): Path<String>) -> axum::Json<Value> {
    let told = if name == "squat" {
        "squatted".to_owned()
    } else {
        name.clone()
    };
    axum::Json(
        json!({"info": {"name": told, "version": "0.9", "yanked": name == "gone"}, "urls": []}),
    )
}

fn digest(body: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}

/// A registry of images that gives everybody a token: the configuration, its manifest, and an index of it.
fn image() -> [String; 3] {
    let labels = json!({"dev.agentopia.mcp.transport": "http:8000/mcp", "org.opencontainers.image.description": "Labelled."});
    let config = json!({"config": {"Labels": labels}}).to_string();
    let manifest = json!({"config": {"digest": digest(&config)}}).to_string();
    let platform = json!({"os": "linux", "architecture": "amd64"});
    let index =
        json!({"manifests": [{"digest": digest(&manifest), "platform": platform}]}).to_string();
    [config, manifest, index]
}

async fn v2(
    Path((image_name, kind, wanted)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|it| it != "Bearer for-everybody")
    {
        let host = headers["host"].to_str().unwrap();
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",service=\"r\",scope=\"pull\"");
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    let [config, manifest, index] = image();
    match (kind.as_str(), wanted.as_str()) {
        ("manifests", "1.0") => index,
        ("manifests", it) if it == digest(&manifest) => manifest,
        ("blobs", it) if it == digest(&config) && image_name == "tool" => config,
        // Not what was asked for.
        ("blobs", _) => "{}".to_owned(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    }
    .into_response()
}

async fn elsewhere() -> SocketAddr {
    let router = Router::new()
        .route("/v0.1/servers", get(page))
        .route("/v0.1/servers/{name}/versions/{version}", get(one))
        .route("/npm/{name}/{version}", get(npm))
        .route("/py/pypi/{name}/json", get(pypi))
        .route("/v2/team/{image}/{kind}/{wanted}", get(v2))
        .route(
            "/token",
            get(|| async { axum::Json(json!({"token": "for-everybody"})) }),
        )
        .route(
            "/server.json",
            get(|| async {
                axum::Json(server("a.six/file", "https://six.example/mcp")["server"].clone())
            }),
        )
        .route("/large.json", get(|| async { vec![b' '; 9 << 20] }))
        .route(
            "/away.json",
            get(|| async { Redirect::temporary("/server.json") }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An admin whose control plane may call loopback and asks the package registries there.
async fn ready() -> (App, Client, SocketAddr) {
    let address = elsewhere().await;
    let app = App::with(|config| {
        config.remote_allow = vec!["127.0.0.1/32".parse().unwrap()];
        config.npm_registry = Some(format!("http://{address}/npm/").parse().unwrap());
        config.pypi_registry = Some(format!("http://{address}/py").parse().unwrap());
    })
    .await;
    let admin = app.set_up().await;
    (app, admin, address)
}

async fn import(app: &App, client: &Client, body: Value) -> Answered {
    app.post(client, IMPORT, body).await
}

fn outcomes(answer: &Value) -> Vec<(String, String)> {
    let items = answer["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .map(|it| (text(&it["definition"]["slug"]), text(&it["outcome"])))
        .collect()
}

fn pair(slug: &str, outcome: &str) -> (String, String) {
    (slug.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn pasted_servers_are_shown_corrected_and_saved_without_their_secrets() {
    let (app, admin) = App::with_admin().await;
    let canary = "ghp_0123456789abcdefghijABCDEFGHIJ";
    let document = json!({"mcpServers": {
        "github": {"command": "docker", "args": ["run", "-i", "--rm", "-e", "GITHUB_TOKEN", "-e", "LEVEL=info", "team/github:1.2"],
            "env": {"GITHUB_TOKEN": canary}},
        "far": {"url": "https://tools.example/mcp", "headers": {"Authorization": format!("Bearer {canary}")}},
        "mine": {"command": "node", "args": ["/home/me/server.js"]},
    }})
    .to_string();
    let answered = import(&app, &admin, json!({"document": document, "dry_run": true})).await;
    assert!(!answered.text.contains(canary));
    let drafts = answered.ok(200);
    assert_eq!(
        outcomes(&drafts),
        [
            pair("github", "draft"),
            pair("far", "draft"),
            pair("", "refused")
        ]
    );
    let listed = app.get(&admin, "/api/v1/catalog").await.ok(200);
    assert_eq!(listed["items"], json!([]), "nothing was saved");

    let saved = import(&app, &admin, json!({"document": document}))
        .await
        .ok(200);
    assert_eq!(
        outcomes(&saved)[..2],
        [pair("github", "added"), pair("far", "added")]
    );
    let shown = app.get(&admin, "/api/v1/catalog/github").await;
    assert!(!shown.text.contains(canary));
    let shown = shown.ok(200);
    assert_eq!(shown["secrets"][0]["name"], "GITHUB_TOKEN");
    assert_eq!(shown["config"]["defaults"]["level"], "info");
    let far = app.get(&admin, "/api/v1/catalog/far").await.ok(200);
    assert_eq!(
        far["packaging"]["headers"]["Authorization"],
        "Bearer ${secret:TOKEN}"
    );
    let again = import(&app, &admin, json!({"document": document}))
        .await
        .ok(200);
    assert_eq!(
        outcomes(&again)[..2],
        [pair("github", "unchanged"), pair("far", "unchanged")]
    );
    let events = app.get(&admin, "/api/v1/events?limit=200").await;
    assert!(
        events.text.contains("imported github into the catalog") && !events.text.contains(canary)
    );

    let bo = app.user(&admin, "bo").await;
    import(&app, &bo, json!({"document": document}))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn an_image_is_an_entry_and_a_new_version_keeps_the_one_before() {
    let (app, admin) = App::with_admin().await;
    let made = import(&app, &admin, json!({"source": "team/tool:1.0"}))
        .await
        .ok(200);
    assert_eq!(outcomes(&made), [pair("tool", "added")]);
    let notes = made["items"][0]["notes"].to_string();
    assert!(notes.contains("stdio was taken"), "{notes}");
    let newer = json!({"source": "team/tool:2.0", "transport": {"type": "streamable_http", "port": 8000, "path": "/mcp"}});
    import(&app, &admin, newer.clone())
        .await
        .problem(409, "duplicate");
    let mut replacing = newer.clone();
    replacing["replace"] = true.into();
    let replaced = import(&app, &admin, replacing).await.ok(200);
    assert_eq!(outcomes(&replaced), [pair("tool", "replaced")]);
    let shown = app.get(&admin, "/api/v1/catalog/tool").await.ok(200);
    assert_eq!(shown["default_version"], "2.0");
    assert_eq!(shown["versions"][1]["version"], "1.0");
    let mut other = newer;
    other["slug"] = "tool-two".into();
    let other = import(&app, &admin, other).await.ok(200);
    assert_eq!(outcomes(&other), [pair("tool-two", "added")]);
}

#[tokio::test]
async fn an_image_is_pinned_and_says_by_its_labels_how_it_speaks() {
    let (app, admin, address) = ready().await;
    let import_of = async |name: &str| {
        let source = format!("{address}/team/{name}:1.0");
        let answer = import(&app, &admin, json!({"source": source}))
            .await
            .ok(200);
        answer["items"][0].clone()
    };
    let [_, _, index] = image();
    let made = import_of("tool").await;
    let it = &made["definition"];
    let pinned = &it["versions"][0]["digest"];
    assert_eq!(pinned, &digest(&index), "{}", made["notes"]);
    assert_eq!(it["versions"][0]["tag"], "1.0");
    assert_eq!(
        it["transport"],
        json!({"type": "streamable_http", "port": 8000, "path": "/mcp"})
    );
    assert_eq!(it["description"], "Labelled.");
    // Content that is not what its digest says is nobody's.
    let forged = import_of("forged").await;
    assert_eq!(forged["definition"]["transport"]["type"], "stdio");
    assert_eq!(
        forged["definition"]["versions"][0]["digest"],
        digest(&index)
    );
    let source = format!("{address}/team/tool:9.9");
    let missing = import(&app, &admin, json!({"source": source, "dry_run": true}))
        .await
        .ok(200);
    assert!(missing["items"][0]["notes"].to_string().contains("404"));
}

#[tokio::test]
async fn a_registry_is_imported_page_by_page_searched_and_one_by_name() {
    let (app, admin, address) = ready().await;
    let source = format!("registry:http://{address}");
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let body = json!({"source": source, "cursor": cursor, "limit": 2});
        let page = import(&app, &admin, body).await.ok(200);
        seen.extend(outcomes(&page));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    // Two servers of one name: the second one gets a slug of its whole name.
    assert_eq!(
        seen,
        [
            pair("weather", "added"),
            pair("a-two-weather", "added"),
            pair("", "refused"),
            pair("clock", "added"),
            pair("clock-two", "added"),
        ]
    );
    let found = import(
        &app,
        &admin,
        json!({"source": source, "search": "clock", "dry_run": true}),
    )
    .await
    .ok(200);
    assert_eq!(
        outcomes(&found),
        [pair("clock", "draft"), pair("clock-two", "draft")]
    );
    let one = json!({"source": source, "server": "a.four/clock", "version": "1.0.0"});
    let one = import(&app, &admin, one).await.ok(200);
    assert_eq!(outcomes(&one), [pair("clock", "unchanged")]);
    let missing = json!({"source": source, "server": "a.four/nothing"});
    let problem = import(&app, &admin, missing)
        .await
        .problem(422, "invalid_input");
    assert!(problem["detail"].as_str().unwrap().contains("404"));
    let file = json!({"source": format!("http://{address}/server.json")});
    assert_eq!(
        outcomes(&import(&app, &admin, file).await.ok(200)),
        [pair("file", "added")]
    );
}

#[tokio::test]
async fn packages_get_their_exact_version_and_what_their_runtime_can_not_do_is_named() {
    let (app, admin, _) = ready().await;
    let made = import(&app, &admin, json!({"source": "npm:@a/server-x"}))
        .await
        .ok(200);
    let version = &made["items"][0]["definition"]["versions"][0];
    assert_eq!(version["version"], "2.1.0");
    assert_eq!(
        version["package"],
        json!({"version": "2.1.0", "integrity": "sha512-abc"})
    );
    let packaging = &made["items"][0]["definition"]["packaging"];
    assert_eq!(
        packaging,
        &json!({"type": "package", "registry": "npm", "name": "@a/server-x"})
    );
    let mut wants_more = made["items"][0]["definition"].clone();
    wants_more["slug"] = "wants-more".into();
    wants_more["versions"][0]["package"]["runtime_args"] = json!(["-y", "--node-options=x"]);
    app.post(&admin, "/api/v1/catalog", wants_more)
        .await
        .ok(201);
    let problem = app
        .post(
            &admin,
            "/api/v1/instances",
            json!({"catalog": "wants-more"}),
        )
        .await
        .problem(422, "package_unsupported");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--node-options=x"), "{detail}");
    let old = import(&app, &admin, json!({"source": "npm:old"}))
        .await
        .ok(200);
    assert!(
        old["items"][0]["notes"][0]
            .as_str()
            .unwrap()
            .contains("use new")
    );
    let py = import(&app, &admin, json!({"source": "pypi:mcp-server-x"}))
        .await
        .ok(200);
    assert_eq!(py["items"][0]["definition"]["default_version"], "0.9");
    for (source, says) in [
        ("npm:@a/server-x@9.9.9", "there is no @a/server-x 9.9.9"),
        ("npm:nothing", "there is no nothing"),
        ("npm:renamed", "another name"),
        ("pypi:gone", "withdrawn"),
        ("pypi:squat", "another package"),
    ] {
        let problem = import(&app, &admin, json!({"source": source}))
            .await
            .problem(422, "not_importable");
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{source}: {problem}"
        );
    }
}

#[tokio::test]
async fn without_a_package_registry_a_version_has_to_be_given() {
    let (app, admin) = App::with_admin().await;
    let problem = import(&app, &admin, json!({"source": "npm:left-pad"}))
        .await
        .problem(422, "not_importable");
    assert!(problem["detail"].as_str().unwrap().contains("npm_registry"));
    let made = import(&app, &admin, json!({"source": "npm:left-pad@1.3.0"}))
        .await
        .ok(200);
    assert_eq!(outcomes(&made), [pair("left-pad", "added")]);
    assert!(
        made["items"][0]["notes"][0]
            .as_str()
            .unwrap()
            .contains("not looked up")
    );
}

#[tokio::test]
async fn what_can_not_be_imported_is_refused_and_changes_nothing() {
    let (app, admin, address) = ready().await;
    let before = app.state.store.events().latest_sequence().await.unwrap();
    let unknown = json!({"$schema": "https://static.modelcontextprotocol.io/schemas/2031-01-01/server.schema.json",
        "name": "a.b/c", "description": "x", "version": "1"});
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for (body, code, says) in [
        (json!({}), "invalid_input", "one of them"),
        (
            json!({"source": "a", "document": "{}"}),
            "invalid_input",
            "one of them",
        ),
        (
            json!({"source": "npm:a; rm -rf /"}),
            "invalid_input",
            "no name",
        ),
        (json!({"source": "pypi:$(id)"}), "invalid_input", "no name"),
        (
            json!({"source": "Registry.Example/UPPER CASE"}),
            "invalid_input",
            "no image",
        ),
        (
            json!({"source": "registry:ftp://x"}),
            "invalid_input",
            "address",
        ),
        (
            json!({"source": "a/b:1", "search": "x"}),
            "invalid_input",
            "registries only",
        ),
        (
            json!({"source": "https://169.254.169.254/server.json"}),
            "invalid_input",
            "link-local",
        ),
        (
            json!({"source": "registry:https://10.0.0.1"}),
            "invalid_input",
            "private",
        ),
        (
            json!({"source": format!("http://{address}/large.json")}),
            "invalid_input",
            "longer than",
        ),
        (
            json!({"source": format!("http://{address}/away.json")}),
            "invalid_input",
            "redirects are not followed",
        ),
        (
            json!({"source": format!("registry:http://{address}"), "limit": 1000}),
            "invalid_input",
            "1 to 100",
        ),
        (
            json!({"source": "a/b:1", "slug": "Not A Slug"}),
            "invalid_input",
            "slug",
        ),
        (json!({"document": "nonsense"}), "not_importable", "no JSON"),
        (json!({"document": deep}), "not_importable", "no JSON"),
        (
            json!({"document": unknown.to_string()}),
            "not_importable",
            "none that is known",
        ),
        (
            json!({"document": json!({"mcpServers": {"a": {"command": "node"}}}).to_string()}),
            "not_importable",
            "own computer",
        ),
        (
            json!({"document": json!({"mcpServers": {"a": {"url": "https://x.example"}, "b": {"url": "https://y.example"}}}).to_string(), "slug": "x"}),
            "invalid_input",
            "one server",
        ),
    ] {
        let problem = import(&app, &admin, body.clone()).await.problem(422, code);
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{body}: {problem}"
        );
    }
    let after = app.state.store.events().latest_sequence().await.unwrap();
    assert_eq!(before, after, "nothing was changed");
}
