//! A droplet that runs the management agent from a container image (ENV-6, `DTMA_DOCKER_IMAGE_URL`): it
//! serves tools, also after its engine crashed and its power was lost, and leaves nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::simulator::GATEWAY;
use agentopia_test_support::{Droplet, DropletCluster, TestAgent, binaries, docker, wait_for};
use anyhow::Context as _;
use serde_json::json;
use tokio::process::Command;

/// For a machine to boot and pull the image, on a busy host.
const BOOT: Duration = Duration::from_secs(180);
/// For a tool to answer.
const SERVE: Duration = Duration::from_secs(90);

/// A registry that asks nobody for a login, with the certificate that droplets believe.
struct Registry {
    child: Child,
    port: u16,
    trust: PathBuf,
    _dir: tempfile::TempDir,
}

impl Registry {
    async fn start() -> anyhow::Result<Self> {
        let certificates = binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY_CERTIFICATES")?;
        let certificates = Path::new(&certificates);
        let tls = certificates.parent().context("it is in no directory")?;
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
        let config = json!({
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": dir.path().join("data")}},
            "http": {"addr": format!("0.0.0.0:{port}"), "secret": "of this test alone", "tls": {
                "certificate": tls.join("server.crt"), "key": tls.join("server.key"),
            }},
        });
        // JSON is YAML too.
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config.to_string())?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = std::process::Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("`docker-registry` can't be started")?;
        // Droplets have this directory as theirs.
        let trust = certificates.join(format!("{GATEWAY}:{port}"));
        std::fs::create_dir_all(&trust)?;
        std::fs::copy(tls.join("ca.crt"), trust.join("ca.crt"))?;
        let registry = Self {
            child,
            port,
            trust,
            _dir: dir,
        };
        wait_for(SERVE, "the registry to listen", async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await?)
        })
        .await?;
        Ok(registry)
    }

    /// Builds the image with the programs under test; its name with the digest, as droplets reach it.
    async fn push_agent(&self) -> anyhow::Result<String> {
        let base = "label=org.opencontainers.image.title=agentopia-base-debian";
        let bases = docker::docker(&["images", "-q", "--filter", base]).await?;
        let base = bases
            .lines()
            .next()
            .context("no base image: run `script/images`")?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let root = binaries::from_scripts("AGENTOPIA_ROOT")?;
        let tag = format!("127.0.0.1:{}/agentopia/dtma:under-test", self.port);
        let built = Command::new(format!("{root}/script/dtma-image"))
            .args(["--base", base, "--push"])
            .args(["--dtma", &text(binaries::built("dtma")?)])
            .args(["--tool-init", &text(binaries::static_build("tool-init")?)])
            .arg(&tag)
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&built.stdout).trim().to_owned();
        let errors = String::from_utf8_lossy(&built.stderr);
        anyhow::ensure!(
            built.status.success(),
            "script/dtma-image: {said}\n{errors}"
        );
        // The registry has it; this host's engine need not keep it.
        docker::docker(&["image", "rm", &tag]).await?;
        Ok(said.replacen("127.0.0.1", GATEWAY, 1))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.trust);
    }
}

async fn answers(agent: &TestAgent, text: &str) -> anyhow::Result<()> {
    wait_for(SERVE, &format!("the answer to {text:?}"), async || {
        let said = agent.call("echo", json!({"text": text})).await?;
        anyhow::ensure!(said.text() == text, "{said:?}");
        Ok(())
    })
    .await
}

/// The image that the agent runs from, and how it is confined.
async fn agents_image(machine: &Droplet) -> anyhow::Result<String> {
    let format = "{{.Image}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Privileged}} \
                  {{.HostConfig.CapDrop}}";
    machine
        .run(&["docker", "inspect", "-f", format, "agentopia-dtma"])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_from_an_image_serves_and_comes_back() -> anyhow::Result<()> {
    let registry = Registry::start().await?;
    let image = registry.push_agent().await?;
    assert!(image.contains("@sha256:"), "{image}");
    let settings = [
        ("DTMA_DOCKER_IMAGE_URL", image.as_str()),
        // It is not needed: nothing but the image brings the agent.
        ("AGENTOPIA_DTMA_BINARY", "/nowhere/dtma"),
    ];
    let cluster = DropletCluster::start_with(&settings).await?;
    cluster.admin.enable().await?;
    let active = EnvironmentStatus::Active;
    let environment = cluster.admin.wait_environment(active, BOOT).await?;
    assert_eq!(environment.runtime.as_deref(), Some("docker"));
    let capacity = environment.capacity.context("it has no capacity")?;
    assert!(
        (45 << 30..50 << 30).contains(&capacity.disk_bytes),
        "it does not see the engine's disk: {capacity:?}"
    );

    let machine = cluster.machine().await?;
    let runs = agents_image(&machine).await?;
    assert!(runs.starts_with("sha256:"), "{runs}");
    assert!(runs.trim_end().ends_with("true false [ALL]"), "{runs}");
    let program =
        "test ! -e /usr/local/lib/agentopia/dtma && test -x /usr/local/lib/agentopia/tool-init";
    machine.shell(program).await?;

    let echo = cluster.admin.deploy("echo").await?;
    let agent = TestAgent::create(&cluster.admin, "Helper", &[echo.id]).await?;
    answers(&agent, "from an image").await?;
    // The rules are the agent's own, besides those of the machine's unit.
    let rules = machine.run(&["iptables", "-S", "INPUT"]).await?;
    assert!(rules.contains("169.254.169.254"), "{rules}");
    let tool = machine.tool(echo.id).await?;

    machine
        .shell("kill -KILL \"$(systemctl show --property MainPID --value docker)\"")
        .await?;
    answers(&agent, "after the engine's crash").await?;
    assert_eq!(
        machine.tool(echo.id).await?,
        tool,
        "the tool was started anew"
    );

    machine.lose_power().await?;
    cluster.simulator.act(machine.id, "power_on").await?;
    answers(&agent, "after the power was lost").await?;
    assert_eq!(agents_image(&machine).await?, runs, "another image runs");

    // It can't replace itself, so it is never told to.
    let timeline = cluster.admin.timeline(environment.id.as_uuid()).await?;
    assert!(
        timeline
            .iter()
            .all(|event| event.kind != "environment.dtma_update"),
        "{timeline:#?}"
    );
    cluster.disable().await?;
    cluster.finish().await
}
