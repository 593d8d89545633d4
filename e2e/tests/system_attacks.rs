//! Known attacks on systems of our kind, tried on the whole product: client, gateway, machine, tool. Each is
//! named after the CVE in which others were hit by it, or after the rule of MCP's security pages.

use agentopia_test_support::api::{Api, http_client};
use agentopia_test_support::{Cluster, TestAgent};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// What may be asked for without a credential: signs of life, the API's own description, and the ways in.
const PUBLIC: [&str; 6] = [
    "get /api/v1/openapi.json",
    "get /api/v1/setup",
    "get /health",
    "get /ready",
    "post /api/v1/session",
    "post /api/v1/setup",
];

/// MCP Inspector's proxy started any command for anybody who found its port.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_49596_nothing_is_done_for_somebody_without_a_credential() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let base = cluster.admin.base_url();
    let http = http_client()?;
    let document: Value = Api::anonymous(base)?.get("/api/v1/openapi.json").await?;
    let mut public = Vec::new();
    let mut closed = 0;
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            if operation["security"].is_null() {
                public.push(format!("{method} {path}"));
                continue;
            }
            let id = if path.contains("/agents/") {
                agent.id().to_string()
            } else {
                echo.id.to_string()
            };
            let filled = path.replace("{id}", &id).replace("{agent_id}", &id);
            let url = format!("{base}{}", filled.replace(['{', '}'], ""));
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            let asked = http
                .request(method.clone(), &url)
                .json(&json!({}))
                .send()
                .await?;
            // The internal address does not exist as long as nobody set a key for it.
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND]
                .contains(&asked.status())
                && (asked.status() == StatusCode::UNAUTHORIZED || path.starts_with("/internal/"));
            anyhow::ensure!(refused, "{method} {path} answered {}", asked.status());
            closed += 1;
        }
    }
    public.sort();
    assert_eq!(public, PUBLIC, "what is open to everybody is on the list");
    assert!(closed > 40, "only {closed} addresses were looked at");
    for door in doors(&agent, echo.id) {
        let asked = initialize(http.post(&door)).send().await?;
        anyhow::ensure!(
            asked.status().is_client_error(),
            "{door}: {}",
            asked.status()
        );
        let asked = http
            .get(&door)
            .header("accept", "text/event-stream")
            .send()
            .await?;
        anyhow::ensure!(
            asked.status().is_client_error(),
            "{door}: {}",
            asked.status()
        );
    }
    let after = cluster.admin.instance(echo.id).await?;
    assert_eq!(
        (after.generation, after.status),
        (echo.generation, echo.status)
    );
    cluster.finish().await
}

/// Docker's MCP gateway, and the SDKs for Python, TypeScript and Go: a page in a browser reaches a server on
/// the same machine by a name that it has had resolved anew.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_64443_66414_66416_2026_34742_foreign_names_and_pages_are_refused()
-> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let http = http_client()?;
    let mut doors = doors(&agent, echo.id);
    doors.push(format!("{}/api/v1/session", cluster.admin.base_url()));
    let foreign = [
        ("host", "rebound.example"),
        ("host", "127.0.0.1.rebound.example"),
        ("origin", "https://rebound.example"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "null"),
    ];
    for door in &doors {
        for (header, value) in foreign {
            let posting = initialize(http.post(door)).bearer_auth(&agent.token);
            let getting = http.get(door).bearer_auth(&agent.token);
            for request in [posting, getting.header("accept", "text/event-stream")] {
                let status = request.header(header, value).send().await?.status();
                let refused = [StatusCode::FORBIDDEN, StatusCode::MISDIRECTED_REQUEST];
                anyhow::ensure!(
                    refused.contains(&status),
                    "{door} with {header}: {value}: {status}"
                );
            }
        }
    }
    assert!(
        agent.tools().await?.contains(&"echo".to_owned()),
        "its own clients are served"
    );
    cluster.finish().await
}

/// Gateways that came with a password which everybody knows.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_78573_no_credential_is_there_before_somebody_sets_it() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let anonymous = Api::anonymous(cluster.admin.base_url())?;
    let http = anonymous.http();
    let url = |path: &str| format!("{}{path}", anonymous.base_url());
    for name in [
        "admin",
        "admin@localhost",
        "admin@example.com",
        "root",
        "agentopia",
    ] {
        for password in [
            "",
            "admin",
            "password",
            "changeme",
            "changeme123",
            "agentopia",
        ] {
            let body = json!({"email": name, "password": password});
            let asked = http.post(url("/api/v1/session")).json(&body).send().await?;
            // Too many of them are told to wait.
            anyhow::ensure!(
                asked.status().is_client_error(),
                "{name} {password}: {}",
                asked.status()
            );
        }
    }
    for token in [
        "",
        "setup",
        "admin",
        "0000000000000000000000000000000000000000000",
    ] {
        let body = json!({"token": token, "email": "second@example.com", "password": "long enough to pass"});
        let asked = http.post(url("/api/v1/setup")).json(&body).send().await?;
        anyhow::ensure!(
            asked.status().is_client_error(),
            "{token}: {}",
            asked.status()
        );
    }
    cluster.finish().await
}

/// Keys that stand in the source sign for every installation.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_53709_what_one_installation_gave_out_opens_no_other() -> anyhow::Result<()> {
    let (ours, theirs) = (
        Cluster::local().start().await?,
        Cluster::local().start().await?,
    );
    let agent = ours.agent_with("a", &[]).await?;
    let other = theirs.agent_with("a", &[]).await?;
    let http = http_client()?;
    let door = |cluster: &Cluster, agent: &TestAgent| {
        agentopia_api::agent::mcp_url(cluster.admin.base_url(), agent.id())
    };
    // A token, at the same address and at the other's own.
    for id in [&agent, &other] {
        let asked = initialize(http.post(door(&theirs, id)))
            .bearer_auth(&agent.token)
            .send()
            .await?;
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
    }
    let stranger = Api::anonymous(theirs.admin.base_url())?.with_token(ours.admin.token());
    let asked = stranger
        .request(Method::GET, "/api/v1/session")
        .send()
        .await?;
    assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
    // A session's id, by somebody who may be there.
    let opened = initialize(http.post(door(&ours, &agent)))
        .bearer_auth(&agent.token)
        .send()
        .await?;
    let session = opened.headers().get("mcp-session-id").cloned();
    let session = session.ok_or_else(|| anyhow::anyhow!("no session: {}", opened.status()))?;
    let asked = http.post(door(&theirs, &other)).bearer_auth(&other.token);
    let asked = message(
        asked,
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    );
    assert_eq!(
        asked
            .header("mcp-session-id", session)
            .send()
            .await?
            .status(),
        StatusCode::NOT_FOUND
    );
    ours.finish().await?;
    theirs.finish().await
}

/// A caller's headers that went on to the server took the place of the credential kept for it. The tool here
/// says which headers it got.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_110279_no_header_of_a_caller_reaches_its_server() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo-http").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let forged = [
        ("cookie", "session=forged"),
        ("x-api-key", "forged"),
        ("proxy-authorization", "Bearer forged"),
        ("x-forwarded-for", "forged"),
        ("forwarded", "for=forged"),
        ("agentopia-session-key", "forged"),
        ("mcp-session-id", "forged"),
    ];
    let modern = agent.modern()?;
    let (mut request, body) =
        modern.request("tools/call", json!({"name": "headers", "arguments": {}}));
    for (name, value) in forged {
        request = request.header(name, value);
    }
    let answer = request.json(&body).send().await?.text().await?;
    anyhow::ensure!(
        answer.contains("mcp-method: tools/call"),
        "the tool was not called: {answer}"
    );
    for (name, _) in forged {
        anyhow::ensure!(
            !answer.contains(&format!("{name}:")),
            "{name} reached the server: {answer}"
        );
    }
    anyhow::ensure!(
        !answer.contains("forged"),
        "a forged value reached the server: {answer}"
    );
    let token = agent.token.as_str();
    anyhow::ensure!(
        !answer.contains(token),
        "the agent's own token reached the server: {answer}"
    );
    anyhow::ensure!(
        !answer.contains("authorization:"),
        "a credential reached the server: {answer}"
    );
    // And in a session.
    let said = agent
        .session()
        .await?
        .call("headers", json!({}))
        .await?
        .text();
    anyhow::ensure!(
        !said.contains("authorization:") && !said.contains(token),
        "{said}"
    );
    cluster.finish().await
}

/// mcp-remote ran a command that stood in the address where it was told to log in. What we tell is made of the
/// address that the operator set, and of nothing that came with a request.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_6514_where_to_log_in_is_never_the_callers_to_say() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let agent = cluster.agent_with("a", &[]).await?;
    let base = cluster.admin.base_url();
    let http = http_client()?;
    let door = agentopia_api::agent::mcp_url(base, agent.id());
    let evil = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "evil"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "https://evil.example/$(calc)"),
    ];
    let lied = |request: RequestBuilder| {
        evil.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    };
    let refused = lied(initialize(http.post(&door))).send().await?;
    let challenge = refused
        .headers()
        .get("www-authenticate")
        .and_then(|value| value.to_str().ok());
    let challenge = challenge.unwrap_or_default();
    let (_, rest) = challenge
        .split_once("resource_metadata=\"")
        .ok_or_else(|| anyhow::anyhow!("no metadata in {challenge:?}"))?;
    let metadata = rest.split('"').next().unwrap_or_default();
    anyhow::ensure!(metadata.starts_with(&format!("{base}/")), "{metadata}");
    let resource: Value = lied(http.get(metadata)).send().await?.json().await?;
    assert_eq!(resource["resource"], door.as_str());
    assert_eq!(resource["authorization_servers"], json!([base]));
    let url = format!("{base}/.well-known/oauth-authorization-server");
    let server: Value = lied(http.get(url)).send().await?.json().await?;
    assert_eq!(server["issuer"], base);
    for (name, value) in server.as_object().into_iter().flatten() {
        if name.ends_with("_endpoint") {
            let address = value.as_str().unwrap_or_default();
            anyhow::ensure!(
                address.starts_with(&format!("{base}/")),
                "{name}: {address}"
            );
        }
    }
    cluster.finish().await
}

/// Servers that called any address which a user, or a name, gave them: the cloud's metadata, their neighbours.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_77822_no_address_of_ours_is_called_for_anybody() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let admin = &cluster.admin;
    for url in [
        "http://169.254.169.254/metadata/v1/user-data",
        "https://169.254.169.254/metadata/v1/user-data",
        "https://127.0.0.1/mcp",
        "https://localhost/mcp",
        "https://2130706433/mcp",
        "https://0x7f.1/mcp",
        "https://0177.0.0.1/mcp",
        "https://[::1]/mcp",
        "https://[::ffff:169.254.169.254]/mcp",
        "https://[64:ff9b::a9fe:a9fe]/mcp",
        "https://10.0.0.1/mcp",
        "https://100.64.0.1/mcp",
        "https://[fd00::1]/mcp",
        "https://0.0.0.0/mcp",
        "https://user:secret@example.com/mcp",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
    ] {
        let body = json!({"catalog": "remote", "url": url});
        let asked = admin
            .request(Method::POST, "/api/v1/instances")
            .json(&body)
            .send()
            .await?;
        let status = asked.status();
        anyhow::ensure!(
            status == StatusCode::UNPROCESSABLE_ENTITY,
            "{url}: {status}"
        );
    }
    let made: Vec<Value> = admin.list("/api/v1/instances").await?;
    assert!(made.is_empty(), "{made:?}");
    cluster.finish().await
}

/// MCP's security pages: a session's id is no credential, and good for its own token only.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_id_opens_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let owner = cluster.agent_with("a", &[echo.id]).await?;
    let thief = cluster.agent_with("b", &[echo.id]).await?;
    let http = http_client()?;
    let door =
        |agent: &TestAgent| agentopia_api::agent::mcp_url(cluster.admin.base_url(), agent.id());
    let opened = initialize(http.post(door(&owner)))
        .bearer_auth(&owner.token)
        .send()
        .await?;
    let session = opened.headers().get("mcp-session-id").cloned();
    let session = session.ok_or_else(|| anyhow::anyhow!("no session: {}", opened.status()))?;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let asking = |agent: &TestAgent| {
        message(http.post(door(agent)), &list).header("mcp-session-id", session.clone())
    };
    for (request, expected) in [
        (asking(&owner), StatusCode::UNAUTHORIZED),
        (
            asking(&owner).bearer_auth(&thief.token),
            StatusCode::NOT_FOUND,
        ),
        (
            asking(&thief).bearer_auth(&thief.token),
            StatusCode::NOT_FOUND,
        ),
        (asking(&owner).bearer_auth(&owner.token), StatusCode::OK),
    ] {
        assert_eq!(request.send().await?.status(), expected);
    }
    // Nor does it end by somebody else's word.
    let ending = http
        .delete(door(&thief))
        .header("mcp-session-id", session.clone());
    let ended = ending.bearer_auth(&thief.token).send().await?;
    assert!(ended.status().is_client_error(), "{}", ended.status());
    let still = asking(&owner).bearer_auth(&owner.token).send().await?;
    assert_eq!(still.status(), StatusCode::OK);
    cluster.finish().await
}

/// Texts of users and models are data: nothing of them is ever run, on the machine or in the tool's command.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_writes_is_never_run() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let mark = cluster.root().join("was-run");
    let path = mark.display();
    let text = format!("$(touch {path}); `touch {path}`; ' || touch {path} #\n\"; touch {path}");
    let mut request = agentopia_test_support::api::instances::deployment("echo");
    request
        .config
        .insert("greeting".to_owned(), json!(format!("$(touch {path})")));
    let echo = cluster.deploy_with(request).await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let said = agent.call("echo", json!({"text": text})).await?;
    assert_eq!(said.text(), text);
    let by_hand = cluster
        .admin
        .call(echo.id, "echo", json!({"text": text}))
        .await?;
    assert_eq!(by_hand.result["content"][0]["text"], text.as_str());
    assert!(!mark.exists(), "a text was run");
    cluster.finish().await
}

/// All addresses at which an agent's, or an instance's, messages are taken.
fn doors(agent: &TestAgent, instance: agentopia_domain::InstanceId) -> Vec<String> {
    let base = agent.owner.base_url();
    let endpoints = [
        format!("{base}/agents/{}", agent.id()),
        format!("{base}/instances/{instance}"),
    ];
    let doors = ["mcp", "sse", "messages"];
    let all = endpoints
        .iter()
        .flat_map(|endpoint| doors.map(|door| format!("{endpoint}/{door}")));
    all.collect()
}

fn initialize(request: RequestBuilder) -> RequestBuilder {
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "attacker", "version": "1"}}});
    message(request, &body)
}

fn message(request: RequestBuilder, body: &Value) -> RequestBuilder {
    let request = request.header("accept", "application/json, text/event-stream");
    request.json(body)
}
