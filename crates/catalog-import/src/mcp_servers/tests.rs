//! What READMEs show, and what must not become of it.

use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_domain::catalog::{CatalogDefinition, Packaging, SecretRequirement};
use serde_json::{Value, json};

use crate::document::read;
use crate::{Draft, Options, Problem};

fn one(server: Value) -> Result<Draft, Problem> {
    let text = json!({"mcpServers": {"my-server": server}}).to_string();
    read(&text, &Options::default())
        .unwrap()
        .found
        .remove(0)
        .outcome
}

fn drafted(server: Value) -> CatalogDefinition {
    let draft = one(server).unwrap();
    assert_eq!(draft.definition.check(), Ok(()));
    draft.definition
}

fn required(definition: &CatalogDefinition) -> Vec<&str> {
    let secrets = definition.secrets.iter();
    secrets
        .map(|SecretRequirement { name, .. }| name.as_str())
        .collect()
}

#[test]
fn a_package_for_node_is_an_entry_with_its_arguments() {
    let definition = drafted(json!({
        "command": "npx",
        "args": ["-y", "@modelcontextprotocol/server-filesystem@2026.1.0", "--verbose=1", "/Users/me/Desktop", "/data"],
    }));
    assert_eq!(definition.slug, "my-server");
    assert_eq!(
        definition.packaging,
        Packaging::Package {
            registry: PackageRegistry::Npm,
            name: "@modelcontextprotocol/server-filesystem".into(),
            program: None,
        }
    );
    let version = &definition.versions[0];
    assert_eq!(version.package.as_ref().unwrap().version, "2026.1.0");
    assert_eq!(version.args, ["--verbose=1"]);
    // What has to be filled in keeps its place before what stays.
    assert_eq!(definition.config.schema["required"], json!(["argument_1"]));
    assert_eq!(definition.config.bindings[1].property, "fixed_argument");
    assert_eq!(definition.config.defaults["fixed_argument"], "/data");
}

#[test]
fn packages_for_python_and_programs_of_packages() {
    for (args, name, program) in [
        (
            json!(["mcp-server-time==2026.1", "--local-timezone=Europe/Berlin"]),
            "mcp-server-time",
            None,
        ),
        (
            json!(["--from", "awslabs.x@1.0", "serve"]),
            "awslabs.x",
            Some("serve".to_owned()),
        ),
    ] {
        let definition = drafted(json!({"command": "/usr/bin/uvx", "args": args}));
        let registry = PackageRegistry::Pypi;
        let name = name.to_owned();
        assert_eq!(
            definition.packaging,
            Packaging::Package {
                registry,
                name,
                program
            }
        );
    }
    let windows = drafted(json!({"command": "cmd", "args": ["/c", "npx", "-y", "x@1.0.0"]}));
    assert!(matches!(windows.packaging, Packaging::Package { .. }));
}

#[test]
fn variables_become_secrets_settings_and_defaults_and_no_secret_is_kept() {
    let canary = "ghp_0123456789abcdefghijABCDEFGHIJ";
    let draft = one(json!({
        "command": "docker",
        "args": ["run", "-i", "--rm", "-e", "GITHUB_TOKEN", "-e", "API_KEY=<YOUR_API_KEY>", "--env=REGION=${REGION}",
                 "-eLOG_LEVEL=info", "ghcr.example/github/server:1.2"],
        "env": {"GITHUB_TOKEN": canary, "UNUSED": "x"},
    }))
    .unwrap();
    let definition = &draft.definition;
    assert_eq!(required(definition), ["GITHUB_TOKEN", "API_KEY"]);
    assert!(definition.secrets.iter().all(|secret| secret.required));
    assert_eq!(definition.config.schema["required"], json!(["region"]));
    assert_eq!(definition.config.defaults["log_level"], "info");
    let image = "ghcr.example/github/server".to_owned();
    assert_eq!(definition.packaging, Packaging::DockerImage { image });
    assert_eq!(definition.default_version, "1.2");
    let all = format!("{draft:?}");
    assert!(!all.contains(canary));
    assert!(all.contains("GITHUB_TOKEN looks like a secret"));
    assert!(all.contains("UNUSED was left out"));
}

#[test]
fn an_address_keeps_its_headers_with_references_for_secrets() {
    let canary = "sk-0123456789abcdefghij";
    let definition = drafted(json!({
        "type": "sse", "url": "https://tools.example/sse",
        "headers": {"Authorization": format!("Bearer {canary}"), "X-API-Key": "${input:my-key}", "X-Team": "blue", "Accept": "*/*"},
    }));
    let Packaging::Remote { url, headers, .. } = &definition.packaging else {
        panic!("{definition:?}")
    };
    assert_eq!(url.as_deref(), Some("https://tools.example/sse"));
    assert_eq!(headers["Authorization"], "Bearer ${secret:TOKEN}");
    assert_eq!(headers["X-API-Key"], "${secret:MY_KEY}");
    assert_eq!(headers["X-Team"], "blue");
    assert!(!headers.contains_key("Accept"));
    assert_eq!(required(&definition), ["TOKEN", "MY_KEY"]);
    assert!(!format!("{definition:?}").contains(canary));

    let bridged = drafted(json!({
        "command": "npx",
        "args": ["-y", "mcp-remote", "https://tools.example/mcp", "--header", "Authorization: Bearer ${TOKEN}"],
        "env": {"TOKEN": "x"},
    }));
    assert!(bridged.packaging.is_remote());
}

#[test]
fn what_can_not_be_had_is_refused_with_the_reason() {
    let docker = |args: Value| json!({"command": "docker", "args": args});
    for (server, says) in [
        (
            json!({"command": "node", "args": ["server.js"]}),
            "own computer",
        ),
        (
            json!({"command": "bash", "args": ["-c", "curl x | sh"]}),
            "own computer",
        ),
        (json!({"command": "npx"}), "no package"),
        (
            json!({"command": "npx", "args": ["-y", "x; rm -rf /"]}),
            "no name",
        ),
        (json!({"command": "npx", "args": ["-c", "id"]}), "`-c`"),
        (json!({"command": "npx", "args": ["-y", "x@^1"]}), "exact"),
        (
            json!({"command": "uvx", "args": ["--from", "git+https://h.example/r", "x"]}),
            "no name",
        ),
        (
            json!({"command": "npx", "args": ["x@1.0.0", "--api-key", "abc"]}),
            "looks like a secret",
        ),
        (
            json!({"command": "npx", "args": ["x@1.0.0", "--token=abc"]}),
            "looks like a secret",
        ),
        (
            docker(json!(["run", "--privileged", "a/b:1"])),
            "--privileged",
        ),
        (
            docker(json!(["run", "--cap-add=ALL", "a/b:1"])),
            "--cap-add",
        ),
        (
            docker(json!([
                "run",
                "-v",
                "/var/run/docker.sock:/var/run/docker.sock",
                "a/b:1"
            ])),
            "socket",
        ),
        (
            docker(json!(["run", "-v", "a:/a", "-v", "b:/b", "a/b:1"])),
            "several",
        ),
        (docker(json!(["run", "-i"])), "no image"),
        (docker(json!(["run", "A/B"])), "no image"),
        (docker(json!(["exec", "x"])), "own computer"),
        (
            json!({"command": "npx", "url": "https://a.example"}),
            "both",
        ),
        (json!({"args": []}), "neither"),
        (json!({"url": "https://me:pw@a.example/mcp"}), "secret"),
        (json!({"url": "https://a.example/mcp?api_key=1"}), "secret"),
        (json!({"url": "ftp://a.example/"}), "packaging.url"),
        (json!({"command": "npx", "args": "x"}), "list"),
        (
            json!({"command": "npx", "args": ["x@1.0.0"], "env": {"A B": "1"}}),
            "name",
        ),
        (
            json!({"command": "npx", "args": ["x@1.0.0"], "env": {"A": "a\0b"}}),
            "",
        ),
        (json!(1), "object"),
    ] {
        match one(server.clone()) {
            Err(problem) => assert!(problem.0.contains(says), "{server}: {problem}"),
            Ok(draft) => assert!(says.is_empty(), "{server}: {draft:?}"),
        }
    }
}

#[test]
fn what_docker_is_asked_for_besides_is_told() {
    let draft = one(json!({"command": "docker", "args": [
        "run", "-it", "--network", "host", "-p", "8000:8000", "--mount", "type=bind,src=/home/me,dst=/data",
        "a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000", "serve", "--dir", "/data",
    ]}))
    .unwrap();
    assert_eq!(
        draft.definition.versions[0].args,
        ["serve", "--dir", "/data"]
    );
    assert_eq!(draft.definition.volume.unwrap().mount_path, "/data");
    assert_eq!(draft.definition.default_version, "000000000000");
    assert_eq!(draft.notes.len(), 3, "{:?}", draft.notes);
    assert!(draft.definition.egress.is_open());
}

#[test]
fn what_docker_keeps_off_the_network_stays_off() {
    let draft =
        one(json!({"command": "docker", "args": ["run", "--network=none", "a/b:1"]})).unwrap();
    assert_eq!(
        draft.definition.egress,
        agentopia_domain::egress::Egress::None
    );
    assert_eq!(draft.notes.len(), 0, "{:?}", draft.notes);
}
