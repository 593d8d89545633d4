//! `agentopia verify` against real installations (TOOL-12): a good one passes, canary and all, and
//! each thing that is broken is named. The provider's part against the real simulator process.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::cli::{Cli, Ran};
use agentopia_test_support::control_plane::ControlPlane;
use agentopia_test_support::simulator::{Simulator, TOKEN};
use agentopia_test_support::{Api, Cluster, Runtime, binaries, ports, wait_for};
use anyhow::Context as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Making a machine on this very host.
const ENABLE: std::time::Duration = std::time::Duration::from_secs(30);
/// From an order to the provider to its effect.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// What verification says, whatever its exit status, which has to fit.
async fn verify(cli: &Cli, more: &[&str]) -> anyhow::Result<Value> {
    let Ran { code, stdout, .. } = cli.run(&[&["verify", "-o", "json"], more].concat()).await?;
    let report: Value = serde_json::from_str(&stdout).with_context(|| stdout.clone())?;
    let expected = if report["ok"] == true { 0 } else { 1 };
    anyhow::ensure!(code == expected, "exit status {code}: {report:#}");
    Ok(report)
}

/// Names and sentences of what is not as it should be.
fn wrong(report: &Value) -> Vec<(&str, &str, &str)> {
    let checks = report["checks"].as_array().into_iter().flatten();
    checks
        .filter(|check| check["outcome"] == "failed" || check["outcome"] == "warning")
        .filter_map(|check| {
            Some((
                check["outcome"].as_str()?,
                check["name"].as_str()?,
                check["detail"].as_str()?,
            ))
        })
        .collect()
}

/// The one thing that is wrong, with what its sentence has to say.
fn only_wrong(report: &Value, outcome: &str, name: &str, parts: &[&str]) -> anyhow::Result<()> {
    let found = wrong(report);
    let [(found_outcome, found_name, detail)] = found[..] else {
        anyhow::bail!("{outcome} {name}: {found:#?}");
    };
    anyhow::ensure!((found_outcome, found_name) == (outcome, name), "{found:#?}");
    for part in parts {
        anyhow::ensure!(detail.contains(part), "{part}: {detail}");
    }
    Ok(())
}

fn outcome<'r>(report: &'r Value, name: &str) -> Option<&'r str> {
    let checks = report["checks"].as_array()?;
    checks.iter().find(|check| check["name"] == name)?["outcome"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_installation_passes_and_a_machine_that_hangs_is_named() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let cli = cluster.cli()?;
    let without = verify(&cli, &["--canary"]).await?;
    only_wrong(&without, "failed", "canary", &["agentopia env enable"])?;
    assert_eq!(outcome(&without, "machine"), Some("skipped"));

    cluster.admin.enable().await?;
    let active = EnvironmentStatus::Active;
    cluster.admin.wait_environment(active, ENABLE).await?;
    let report = verify(&cli, &["--canary"]).await?;
    assert_eq!(wrong(&report), [], "{report:#}");
    for name in [
        "server",
        "control_plane.database",
        "control_plane.vault",
        "control_plane.machine_address",
        "provider.dtma",
        "provider.tool_init",
        "machine.connection",
        "machine.version",
        "machine.heartbeat",
        "machine.clock",
        "public_url.answer",
        "canary",
    ] {
        assert_eq!(outcome(&report, name), Some("ok"), "{name}: {report:#}");
    }
    // Nothing of the canary is left.
    for path in ["/api/v1/agents", "/api/v1/instances"] {
        let left: Vec<Value> = cluster.admin.list(path).await?;
        assert!(left.is_empty(), "{path}: {left:?}");
    }

    // The tools of an agent that is there already.
    let echo = cluster.deploy("echo").await?;
    cluster.agent_with("helper", &[echo.id]).await?;
    let token: Value = cli.json(&["agents", "token", "create", "helper"]).await?;
    let file = cluster.root().join("agent-token");
    std::fs::write(&file, token["token"].as_str().unwrap_or_default())?;
    let file = file.to_string_lossy().into_owned();
    let asked = verify(&cli, &["--agent", "helper", "--token-file", &file]).await?;
    assert_eq!(outcome(&asked, "agent.tools"), Some("ok"), "{asked:#}");
    std::fs::write(&file, "agt_wrong")?;
    let refused = verify(&cli, &["--agent", "helper", "--token-file", &file]).await?;
    only_wrong(&refused, "failed", "agent.tools", &["token was refused"])?;

    // It takes connections and answers nothing.
    let dtma = cluster.machine().await?.dtma().context("no DTMA runs")?;
    dtma.signal(Signal::SIGSTOP);
    let report = verify(&cli, &[]).await;
    dtma.signal(Signal::SIGCONT);
    let report = report?;
    let connection = wrong(&report)
        .into_iter()
        .find(|it| it.1 == "machine.connection");
    let (outcome_, _, detail) = connection.with_context(|| format!("{report:#}"))?;
    assert_eq!(outcome_, "failed");
    assert!(detail.contains("no answer in 10 s"), "{detail}");
    assert_eq!(outcome(&report, "control_plane.database"), Some("ok"));
    wait_for(SOON, "the machine to be well again", async || {
        let report = verify(&cli, &[]).await?;
        anyhow::ensure!(wrong(&report).is_empty(), "{report:#}");
        Ok(())
    })
    .await?;
    cluster.finish().await
}

/// A control plane whose machines would be droplets, and somebody who verifies.
struct Installation {
    control_plane: ControlPlane,
    simulator: Simulator,
    http: reqwest::Client,
    admin_url: String,
    admin: Api,
    cli: Cli,
    _root: tempfile::TempDir,
}

/// An address of this host that is not loopback. No packet is sent.
fn own_address() -> anyhow::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("203.0.113.1:9")?;
    Ok(socket.local_addr()?.ip().to_string())
}

fn settings(
    root: &Path,
    port: u16,
    simulator: &Simulator,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let machines = port + 3;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(vec![
        ("AGENTOPIA_PROVIDER", "digitalocean".to_owned()),
        ("AGENTOPIA_DATA_DIR", text(&root.join("data"))),
        ("AGENTOPIA_BIND", format!("127.0.0.1:{}", port + 2)),
        (
            "AGENTOPIA_PUBLIC_URL",
            format!("http://localhost:{}", port + 2),
        ),
        ("AGENTOPIA_DTMA_LISTEN", format!("0.0.0.0:{machines}")),
        (
            "AGENTOPIA_DTMA_ADVERTISE_URL",
            format!("https://{}:{machines}", own_address()?),
        ),
        ("AGENTOPIA_DTMA_BINARY", text(&binaries::built("dtma")?)),
        (
            "AGENTOPIA_TOOL_INIT_BINARY",
            text(&binaries::static_build("tool-init")?),
        ),
        ("DO_API_TOKEN", TOKEN.to_owned()),
        ("DO_API_URL", simulator.url().to_owned()),
        ("DO_CONTROL_PLANE_RANGES", "203.0.113.7".to_owned()),
        ("DO_DEFAULT_REGION", "fra1".to_owned()),
        ("DO_DEFAULT_SIZE", "s-1vcpu-2gb".to_owned()),
    ])
}

impl Installation {
    async fn start() -> anyhow::Result<Self> {
        let (root, port) = (tempfile::tempdir()?, ports::block()?);
        let simulator = Simulator::without_machines(root.path(), port).await?;
        let settings = settings(root.path(), port, &simulator)?;
        let settings: BTreeMap<String, String> = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let url = format!("http://127.0.0.1:{}", port + 2);
        let log = root.path().join("control-plane-0.log");
        let mut control_plane = ControlPlane::new(url.clone(), settings, log);
        control_plane.start().await?;
        let token = std::fs::read_to_string(root.path().join("data/setup-token"))?;
        let admin = Api::anonymous(&url)?
            .set_up(token.trim(), "admin@example.com")
            .await?;
        Ok(Self {
            cli: Cli::new(&url, admin.token())?,
            http: agentopia_test_support::api::http_client()?,
            admin_url: format!("http://127.0.0.1:{}", port + 1),
            control_plane,
            simulator,
            admin,
            _root: root,
        })
    }

    async fn restart_with(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        self.control_plane.stop().await?;
        self.control_plane.set(name, value);
        self.control_plane.start().await
    }

    /// Somebody does something at DigitalOcean.
    async fn at_provider(&self, request: reqwest::RequestBuilder) -> anyhow::Result<()> {
        let answer = request.bearer_auth(TOKEN).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    }

    async fn verify(&self) -> anyhow::Result<Value> {
        verify(&self.cli, &[]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_at_the_provider_is_named() -> anyhow::Result<()> {
    let mut at = Installation::start().await?;
    let good = at.verify().await?;
    assert_eq!(wrong(&good), [], "{good:#}");
    assert_eq!(outcome(&good, "provider.scopes.change"), Some("skipped"));
    for name in [
        "provider.token",
        "provider.region",
        "control_plane.machine_address",
        "public_url.dns",
    ] {
        assert_eq!(outcome(&good, name), Some("ok"), "{name}: {good:#}");
    }

    for (name, value, check, parts) in [
        (
            "DO_DEFAULT_REGION",
            "mars1",
            "provider.region",
            &["mars1", "fra1"][..],
        ),
        (
            "DO_DEFAULT_SIZE",
            "s-0",
            "provider.size",
            &["s-0", "s-1vcpu-1gb"],
        ),
        (
            "DO_DEFAULT_IMAGE",
            "ubuntu-4",
            "provider.image",
            &["ubuntu-4"],
        ),
        (
            "DO_SSH_KEY_FINGERPRINTS",
            "aa:bb",
            "provider.ssh_key",
            &["DO_SSH_KEY_FINGERPRINTS"],
        ),
        (
            "DO_PROJECT_ID",
            "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
            "provider.project",
            &["DO_PROJECT_ID"],
        ),
        (
            "DO_API_TOKEN",
            "dop_v1_wrong",
            "provider.token",
            &["HTTP 401", "personal access token"],
        ),
    ] {
        let before = match name {
            "DO_DEFAULT_REGION" => "fra1",
            "DO_DEFAULT_SIZE" => "s-1vcpu-2gb",
            "DO_API_TOKEN" => TOKEN,
            // An empty variable is one that is not set.
            _ => "",
        };
        at.restart_with(name, value).await?;
        let report = at.verify().await?;
        let found = wrong(&report);
        let said = found.iter().find(|(_, found, _)| *found == check);
        let (_, _, detail) = said.with_context(|| format!("{check}: {report:#}"))?;
        for part in parts {
            anyhow::ensure!(detail.contains(part), "{part}: {detail}");
        }
        anyhow::ensure!(
            !report.to_string().contains("dop_v1"),
            "the token is shown: {report:#}"
        );
        at.control_plane.set(name, before);
    }
    // Nobody listens on this port of that address: the simulator is on loopback alone.
    let port = at.simulator.url().rsplit(':').next().unwrap_or_default();
    let address = format!("https://{}:{port}", own_address()?);
    at.restart_with("AGENTOPIA_DTMA_ADVERTISE_URL", &address)
        .await?;
    only_wrong(
        &at.verify().await?,
        "failed",
        "control_plane.machine_address",
        &["dtma_advertise_url"],
    )?;
    at.control_plane.stop().await?;
    at.simulator.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_at_the_provider_since_is_named() -> anyhow::Result<()> {
    let mut at = Installation::start().await?;
    let (http, steer) = (at.http.clone(), at.admin_url.clone());
    let narrow = json!([{"name": "narrow", "secret": TOKEN, "scopes": {"only":
        ["droplet:read", "tag:read", "regions:read", "sizes:read", "image:read"]}}]);
    let before = json!([{"name": "full", "secret": TOKEN, "scopes": "full"}]);
    at.at_provider(http.put(format!("{steer}/tokens")).json(&narrow))
        .await?;
    let parts = ["lacks firewall:read"];
    only_wrong(
        &at.verify().await?,
        "failed",
        "provider.scopes.read",
        &parts,
    )?;
    at.at_provider(http.put(format!("{steer}/tokens")).json(&before))
        .await?;

    at.admin.enable().await?;
    wait_for(SOON, "the droplet to be there", async || {
        anyhow::ensure!(at.simulator.droplets().await?.len() == 1);
        Ok(())
    })
    .await?;
    let making = at.verify().await?;
    assert_eq!(wrong(&making), [], "{making:#}");
    assert_eq!(outcome(&making, "machine"), Some("skipped"), "{making:#}");

    let limit = json!({"droplet_limit": 1});
    at.at_provider(http.patch(format!("{steer}/settings")).json(&limit))
        .await?;
    let parts = ["1 of 1 droplets are used"];
    only_wrong(
        &at.verify().await?,
        "failed",
        "provider.droplet_limit",
        &parts,
    )?;
    let limit = json!({"droplet_limit": 25});
    at.at_provider(http.patch(format!("{steer}/settings")).json(&limit))
        .await?;

    let firewall = at.simulator.list("firewalls").await?.remove(0);
    let url = format!(
        "{}/v2/firewalls/{}/rules",
        at.simulator.url(),
        firewall["id"].as_str().unwrap_or_default()
    );
    let ssh = json!({"inbound_rules":
        [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]});
    at.at_provider(http.post(url).json(&ssh)).await?;
    let parts = ["lets in tcp 22 from 0.0.0.0/0"];
    only_wrong(&at.verify().await?, "failed", "provider.firewall", &parts)?;

    // A server that nobody reaches is a finding too.
    at.control_plane.stop().await?;
    let down = at.verify().await?;
    assert_eq!(outcome(&down, "server"), Some("failed"), "{down:#}");
    assert_eq!(
        outcome(&down, "public_url.answer"),
        Some("failed"),
        "{down:#}"
    );
    at.simulator.stop().await
}
