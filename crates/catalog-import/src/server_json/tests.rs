//! Schemas old and new, every kind of input, and the way back.

use agentopia_domain::catalog::{
    CatalogDefinition, CatalogStatus, ConfigTarget, Packaging, Transport,
};
use agentopia_domain::remote::RemoteTransport;
use serde_json::{Value, json};

use crate::document::read;
use crate::{Draft, Form, Options, Problem, publish};

const ARGUMENTS: &str = r#"{
  "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
  "name": "io.example/db", "title": "Databases", "description": "Reads databases.", "version": "3.1.0",
  "websiteUrl": "https://db.example/docs",
  "packages": [{
    "registryType": "oci", "identifier": "registry.example/team/db:3.1.0",
    "transport": {"type": "streamable-http", "url": "http://localhost:{port}/mcp"},
    "runtimeArguments": [
      {"type": "named", "name": "--network", "value": "host"},
      {"type": "named", "name": "-e", "value": "DB_TYPE={db_type}", "variables": {"db_type": {"choices": ["a", "b"], "isRequired": true}}},
      {"type": "named", "name": "--mount", "value": "type=bind,src={from},dst=/project", "variables": {"from": {"format": "filepath"}}}
    ],
    "packageArguments": [
      {"type": "positional", "value": "serve"},
      {"type": "named", "name": "--port", "format": "number", "default": "8080"},
      {"type": "named", "name": "--db", "value": "db://{user}@{host}/x", "variables": {"user": {"isRequired": true}, "host": {"default": "localhost"}}},
      {"type": "named", "name": "--stdio"},
      {"type": "positional", "valueHint": "dir", "isRepeated": true, "default": "/project"}
    ],
    "environmentVariables": [
      {"name": "DB_PASSWORD", "isRequired": true, "isSecret": true, "default": "canary-of-the-publisher"},
      {"name": "SSL_MODE", "default": "prefer", "choices": ["disable", "prefer"]},
      {"name": "LIMIT", "format": "number", "default": "10"},
      {"name": "FIXED", "value": "yes"}
    ]
  }]
}"#;

fn draft(value: &Value) -> Result<Draft, Problem> {
    draft_as(value, None)
}

fn draft_as(value: &Value, form: Option<Form>) -> Result<Draft, Problem> {
    let options = Options {
        form,
        ..Options::default()
    };
    let document = read(&value.to_string(), &options)?;
    document.found.into_iter().next().unwrap().outcome
}

#[test]
fn arguments_and_variables_become_settings_and_secrets() {
    let draft = draft(&serde_json::from_str(ARGUMENTS).unwrap()).unwrap();
    let it = &draft.definition;
    assert_eq!(it.slug, "db");
    assert_eq!(it.registry_name.as_deref(), Some("io.example/db"));
    assert_eq!(it.name.as_str(), "Databases");
    assert_eq!(it.versions[0].tag.as_deref(), Some("3.1.0"));
    assert_eq!(
        it.transport,
        Transport::StreamableHttp {
            port: 8080,
            path: "/mcp".into()
        }
    );
    assert_eq!(it.versions[0].args, ["serve"]);
    assert_eq!(it.versions[0].env["FIXED"], "yes");
    assert_eq!(it.volume.as_ref().unwrap().mount_path, "/project");
    assert_eq!(it.secrets.len(), 1);
    assert!(it.secrets[0].required && it.secrets[0].name == "DB_PASSWORD");
    assert!(!format!("{draft:?}").contains("canary-of-the-publisher"));
    let properties = &it.config.schema["properties"];
    assert_eq!(properties["ssl_mode"]["enum"], json!(["disable", "prefer"]));
    assert_eq!(properties["limit"]["type"], "number");
    assert_eq!(it.config.defaults["limit"], 10);
    assert_eq!(it.config.defaults["port"], "8080");
    assert_eq!(it.config.defaults["dir"], json!(["/project"]));
    assert_eq!(it.config.schema["required"], json!(["db_type", "user"]));
    let text = ConfigTarget::ArgText {
        flag: Some("--db".into()),
        text: "db://${config:user}@${config:host}/x".into(),
    };
    let targets: Vec<&ConfigTarget> = it.config.bindings.iter().map(|it| &it.target).collect();
    assert!(targets.contains(&&text), "{targets:?}");
    // The flag that stands alone keeps its place.
    assert_eq!(it.config.defaults["fixed_argument"], "--stdio");
}

#[test]
fn the_schema_of_2025_07_has_underscores_and_says_the_same() {
    let old = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-07-09/server.schema.json",
        "name": "io.example/search", "description": "Searches.", "status": "deprecated",
        "version_detail": {"version": "1.0.2"},
        "packages": [{
            "registry_type": "npm", "registry_base_url": "https://packages.example", "identifier": "@a/search", "version": "1.0.2",
            "package_arguments": [{"type": "positional", "value_hint": "dir", "is_required": true, "is_repeated": true}],
            "environment_variables": [{"name": "KEY", "is_required": true, "is_secret": true}],
        }, {"registry_type": "oci", "registry_base_url": "https://images.example", "identifier": "mcp/search", "version": "1.0.2"}],
        "remotes": [{"transport_type": "sse", "url": "https://a.example/sse"}],
    });
    let npm = draft_as(&old, Some(Form::Npm)).unwrap().definition;
    assert_eq!(npm.default_version, "1.0.2");
    assert_eq!(npm.status, CatalogStatus::Deprecated);
    assert_eq!(npm.secrets[0].name, "KEY");
    assert_eq!(npm.config.schema["required"], json!(["dir"]));
    let oci = draft(&old).unwrap();
    let image = "images.example/mcp/search".to_owned();
    assert_eq!(oci.definition.packaging, Packaging::DockerImage { image });
    assert!(
        oci.notes.iter().any(|note| note.contains("remote, npm")),
        "{:?}",
        oci.notes
    );
    let remote = draft_as(&old, Some(Form::Remote))
        .unwrap()
        .definition
        .packaging;
    assert!(matches!(
        remote,
        Packaging::Remote {
            transport: RemoteTransport::Sse,
            ..
        }
    ));
    assert!(
        draft_as(&old, Some(Form::Pypi))
            .unwrap_err()
            .0
            .contains("oci, remote, npm")
    );
}

#[test]
fn addresses_keep_headers_and_leave_open_what_has_to_be_filled_in() {
    let server = |url: &str, variables: Value| {
        json!({"name": "io.example/far", "description": "x", "version": "2.0.0", "remotes": [{
            "type": "streamable-http", "url": url, "variables": variables,
            "headers": [
                {"name": "Authorization", "value": "Bearer {token}", "isRequired": true, "variables": {"token": {"isSecret": true}}},
                {"name": "X-Region", "default": "eu"},
                {"name": "X-API-Key", "isSecret": true},
            ],
        }]})
    };
    let fixed = draft(&server(
        "https://{tenant}.example/mcp",
        json!({"tenant": {"default": "a"}}),
    ))
    .unwrap();
    let Packaging::Remote { url, headers, .. } = &fixed.definition.packaging else {
        panic!()
    };
    assert_eq!(url.as_deref(), Some("https://a.example/mcp"));
    assert_eq!(headers["Authorization"], "Bearer ${secret:TOKEN}");
    assert_eq!(headers["X-Region"], "eu");
    assert_eq!(headers["X-API-Key"], "${secret:X_API_KEY}");
    let secrets: Vec<_> = fixed
        .definition
        .secrets
        .iter()
        .map(|it| (it.name.as_str(), it.required))
        .collect();
    assert_eq!(secrets, [("TOKEN", true), ("X_API_KEY", false)]);
    let open = draft(&server(
        "https://{tenant}.example/mcp",
        json!({"tenant": {}}),
    ))
    .unwrap();
    assert!(matches!(
        open.definition.packaging,
        Packaging::Remote { url: None, .. }
    ));
    assert!(open.notes[0].contains("--url"));
}

#[test]
fn what_can_not_be_read_or_run_is_refused_with_the_reason() {
    let with = |extra: Value| {
        let mut server = json!({"name": "io.example/x", "description": "x", "version": "1"});
        server
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        server
    };
    let package = |extra: Value| {
        let mut package = json!({"registryType": "npm", "identifier": "x", "version": "1.0.0", "transport": {"type": "stdio"}});
        package
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        with(json!({"packages": [package]}))
    };
    for (server, says) in [
        (
            with(
                json!({"$schema": "https://static.modelcontextprotocol.io/schemas/2031-01-01/server.schema.json"}),
            ),
            "none that is known",
        ),
        (with(json!({"$schema": "x"})), "none that is known"),
        (with(json!({})), "nothing that could be run"),
        (
            with(json!({"name": "no slash", "remotes": []})),
            "namespace/name",
        ),
        (with(json!({"packages": 3})), "should be a sequence"),
        (with(json!({"packages": ["canary-secret"]})), "should be"),
        (
            package(json!({"registryType": "mcpb", "identifier": "https://h.example/x.mcpb"})),
            "mcpb",
        ),
        (package(json!({"registryType": "nuget"})), "nuget only"),
        (package(json!({"identifier": "x; rm -rf /"})), "no name"),
        (package(json!({"version": "^1"})), "exact"),
        (
            package(
                json!({"packageArguments": [{"type": "named", "name": "--token", "isSecret": true}]}),
            ),
            "secret",
        ),
        (
            package(json!({"packageArguments": [{"type": "odd"}]})),
            "neither",
        ),
        (
            package(json!({"environmentVariables": [{"name": "A B"}]})),
            "variable",
        ),
        (
            package(
                json!({"transport": {"type": "streamable-http", "url": "http://localhost:{port}/mcp"}}),
            ),
            "port",
        ),
        (
            package(json!({"transport": {"type": "carrier-pigeon"}})),
            "transport",
        ),
        (
            package(
                json!({"registryType": "oci", "identifier": "a/b:1", "runtimeArguments": [{"type": "named", "name": "--privileged"}]}),
            ),
            "--privileged",
        ),
        (
            json!({"server": with(json!({"remotes": [{"type": "sse", "url": "https://a.example"}]})),
            "_meta": {"io.modelcontextprotocol.registry/official": {"status": "deleted"}}}),
            "deleted",
        ),
    ] {
        let problem = draft(&server).unwrap_err().0;
        assert!(problem.contains(says), "{server}: {problem}");
        assert!(!problem.contains("canary-secret"), "{problem}");
    }
}

#[test]
fn what_we_publish_reads_back_as_the_same_entry() {
    let mut before: CatalogDefinition = draft(&serde_json::from_str(ARGUMENTS).unwrap())
        .unwrap()
        .definition;
    before.volume = None;
    before.developer_organisation = "io.example".into();
    let written = publish::server(&before, &before.versions[0]);
    let value = serde_json::to_value(&written).unwrap();
    let after = draft(&value).unwrap().definition;
    assert_eq!(after.packaging, before.packaging);
    assert_eq!(after.transport, before.transport);
    assert_eq!(after.secrets, before.secrets);
    assert_eq!(after.versions, before.versions);
    assert_eq!(after.registry_name, before.registry_name);
    let targets = |it: &CatalogDefinition| -> Vec<ConfigTarget> {
        let args = it
            .config
            .bindings
            .iter()
            .map(|binding| binding.target.clone());
        args.filter(|it| matches!(it, ConfigTarget::Env { .. } | ConfigTarget::EnvText { .. }))
            .collect()
    };
    assert_eq!(targets(&after), targets(&before));
    assert_eq!(
        value["packages"][0]["identifier"],
        "registry.example/team/db:3.1.0"
    );
    assert!(value["description"].as_str().unwrap().chars().count() <= 100);
}

#[test]
fn a_page_of_a_registry_has_a_cursor_and_tells_of_each_server_by_itself() {
    let page = json!({
        "servers": [
            {"server": {"name": "a.b/good", "description": "x", "version": "1", "remotes": [{"type": "sse", "url": "https://a.example/sse"}]}, "_meta": {}},
            {"server": {"name": "a.b/bundle", "description": "x", "version": "1", "packages": [{"registryType": "mcpb", "identifier": "x"}]}},
            {"server": {"name": "a.b/new", "$schema": "https://x/schemas/2031-01-01/server.schema.json", "version": "1"}},
            7,
        ],
        "metadata": {"count": 4, "nextCursor": "a.b/new:1"},
    });
    let document = read(&page.to_string(), &Options::default()).unwrap();
    assert_eq!(document.next_cursor.as_deref(), Some("a.b/new:1"));
    let good: Vec<bool> = document.found.iter().map(|it| it.outcome.is_ok()).collect();
    assert_eq!(good, [true, false, false, false]);
    assert_eq!(document.found[1].name, "a.b/bundle");
}
