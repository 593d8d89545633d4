//! The main job by the command line alone, as a person or a script would do it: real processes, a
//! home directory of its own, secrets by standard input, exit codes.

use std::os::unix::fs::PermissionsExt as _;

use agentopia_test_support::api::PASSWORD;
use agentopia_test_support::cli::Cli;
use agentopia_test_support::{Cluster, Runtime, leaks};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_by_the_command_line() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let cli = cluster.cli()?;
    let environment: Value = cli.json(&["env", "enable"]).await?;
    assert_eq!(
        environment["status"], "active",
        "it waits by default: {environment}"
    );

    let set = cli
        .run_with_input(&["secrets", "set", "key"], "a value of a secret\n")
        .await?;
    assert_eq!(set.code, 0, "{set:?}");
    let deploy = [
        "tools",
        "deploy",
        "echo",
        "--name",
        "my echo",
        "--set",
        "greeting=Moin",
        "--secret",
        "ECHO_SECRET=key",
    ];
    let tool: Value = cli.json(&deploy).await?;
    assert_eq!(
        (&tool["status"], &tool["name"]),
        (&json!("running"), &json!("my echo"))
    );
    let call = [
        "tools",
        "call",
        "my echo",
        "env",
        "--arg",
        "name=ECHO_SECRET",
    ];
    let said = cli.run(&call).await?;
    let digest = hex::encode(Sha256::digest("a value of a secret"));
    assert!(said.code == 0 && said.stdout.contains(&digest), "{said:?}");

    let agent: Value = cli.json(&["agents", "create", "helper"]).await?;
    let linked = cli.run(&["agents", "link", "helper", "my echo"]).await?;
    assert_eq!(linked.code, 0, "{linked:?}");
    let token: Value = cli.json(&["agents", "token", "create", "helper"]).await?;
    let url = agent["mcp_url"].as_str().unwrap_or_default();
    let token = token["token"].as_str().unwrap_or_default();
    let client = agentopia_test_support::mcp::ModernClient::new(url, token)?;
    assert_eq!(
        client
            .call("echo", json!({"text": "by hand"}))
            .await?
            .text(),
        "by hand"
    );
    let args = [
        "agents",
        "call",
        "helper",
        "echo",
        "--args",
        "{\"text\": \"as the agent\"}",
    ];
    let called = cli.run_with_input(&args, token).await?;
    assert!(
        called.code == 0 && called.stdout.contains("as the agent"),
        "{called:?}"
    );
    for client in ["claude", "vscode", "cursor", "json"] {
        let config: Value = cli
            .json(&["agents", "config", "helper", "--client", client])
            .await?;
        assert!(config.to_string().contains(url), "{client}: {config}");
        assert!(!config.to_string().contains(token), "{client}: {config}");
    }
    let logs = cli.run(&["tools", "logs", "my echo"]).await?;
    assert!(logs.stdout.contains("ready on stdio"), "{logs:?}");

    let found: Value = cli.json(&["tools", "doctor", "my echo"]).await?;
    assert_eq!(
        (&found["ok"], &found["warnings"]),
        (&json!(true), &json!(0))
    );
    let answered = found["checks"].to_string();
    assert!(answered.contains("it answers MCP in"), "{answered}");

    // Every step of its life, each waited for.
    for (verb, status) in [
        ("stop", "stopped"),
        ("start", "running"),
        ("restart", "running"),
    ] {
        let tool: Value = cli.json(&["tools", verb, "my echo"]).await?;
        assert_eq!(tool["status"], status, "{verb}: {tool}");
    }
    let removed = cli
        .run(&["tools", "rm", "my echo", "--yes", "--purge-data"])
        .await?;
    assert_eq!(removed.code, 0, "{removed:?}");
    let tools: Value = cli.json(&["tools", "list"]).await?;
    assert!(!tools.to_string().contains("my echo"), "{tools}");
    let events = cli.run(&["events", "list"]).await?;
    assert!(
        events.code == 0 && events.stdout.contains("my echo"),
        "{events:?}"
    );
    let disabled = cli.run(&["env", "disable", "--yes"]).await?;
    assert_eq!(disabled.code, 0, "{disabled:?}");
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_out() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let cli = Cli::new(cluster.control_plane.base_url(), "")?;
    let login = ["login", "--email", "admin@example.com"];
    let wrong = cli.run_with_input(&login, "not the password\n").await?;
    assert_eq!(wrong.code, 3, "{wrong:?}");
    let right = cli.run_with_input(&login, &format!("{PASSWORD}\n")).await?;
    assert_eq!(right.code, 0, "{right:?}");
    let _: Value = cli.json(&["tools", "list"]).await?;
    // The password is kept nowhere, and what is kept is for the owner alone.
    assert!(leaks::files_with(cli.home(), PASSWORD.as_bytes()).is_empty());
    let file = cli.home().join(".config/agentopia/contexts.toml");
    assert_eq!(
        std::fs::metadata(&file)?.permissions().mode() & 0o777,
        0o600
    );
    // A new password counts at once, and the sign-in of this machine stays.
    let change = ["auth", "password"];
    let new = "another good password";
    let wrong = cli.run_with_input(&change, &format!("no\n{new}\n")).await?;
    assert_eq!(wrong.code, 3, "{wrong:?}");
    let short = cli
        .run_with_input(&change, &format!("{PASSWORD}\nshort\n"))
        .await?;
    assert_eq!(short.code, 1, "{short:?}");
    let changed = cli
        .run_with_input(&change, &format!("{PASSWORD}\n{new}\n"))
        .await?;
    assert_eq!(changed.code, 0, "{changed:?}");
    let _: Value = cli.json(&["tools", "list"]).await?;
    let old = cli.run_with_input(&login, &format!("{PASSWORD}\n")).await?;
    assert_eq!(old.code, 3, "{old:?}");
    let again = cli.run_with_input(&login, &format!("{new}\n")).await?;
    assert_eq!(again.code, 0, "{again:?}");
    let out = cli.run(&["auth", "logout"]).await?;
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(cli.run(&["tools", "list"]).await?.code, 3);
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_their_exit_codes_and_are_json_where_json_is_asked_for() -> anyhow::Result<()>
{
    let cluster = Cluster::local().start().await?;
    let cli = cluster.cli()?;
    let base = cluster.control_plane.base_url();
    let nobody = Cli::new(base, "")?;
    let wrong = Cli::new(base, "pat_wrong")?;
    let away = Cli::new("http://127.0.0.1:9", cluster.admin.token())?;
    let cases: [(&Cli, &[&str], i32); 7] = [
        (&cli, &["tools", "show", "none"], 4),
        (&cli, &["agents", "rm", "none", "--yes"], 4),
        (&cli, &["tools", "deploy", "no-such-tool"], 4),
        (&cli, &["tools", "nonsense"], 2),
        (&nobody, &["tools", "list"], 3),
        (&wrong, &["tools", "list"], 3),
        (&away, &["tools", "list"], 1),
    ];
    let mut unexpected = Vec::new();
    for (cli, args, code) in cases {
        let args = [args, &["-o", "json"]].concat();
        let ran = cli.run(&args).await?;
        let said = serde_json::from_str::<Value>(ran.stderr.trim())
            .or_else(|_| serde_json::from_str::<Value>(ran.stdout.trim()));
        if ran.code != code || said.is_err() {
            unexpected.push(format!("{args:?}: {code} wanted, {ran:?}"));
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    // Nothing was enabled by any of these.
    assert!(cluster.admin.environment().await.is_err());
    cluster.finish().await
}
