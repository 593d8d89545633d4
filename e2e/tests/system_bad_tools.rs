//! Tools that behave badly, registries that do, and disks that are full: each is told to its owner,
//! and harms nobody else.

use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::instance::InstanceStatus as S;
use agentopia_domain::verification::Outcome;
use agentopia_test_support::fixtures::{self, EchoEntry, Registry};
use agentopia_test_support::proxy::Proxy;
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Cluster, Runtime, docker, leaks, wait_for};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
/// Five failures with growing pauses, of a tool that takes three seconds each.
const CRASH_LOOP: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn bad_tools_are_told_of_and_harm_nobody() -> anyhow::Result<()> {
    // Most of it is waiting. Both run to their ends, so that each cleans up.
    let (first, second) = tokio::join!(bad_tools(Runtime::Process), bad_tools(Runtime::Docker));
    first.and(second)
}

async fn bad_tools(runtime: Runtime) -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(runtime).start().await?;
    let admin = &cluster.admin;
    let good = cluster.deploy("echo").await?;
    let machine = cluster.machine().await?;
    // Instead of a minute.
    machine.configure("health_timeout_seconds", 3).await?;
    let modes = [
        "exit-at-once",
        "hang-at-start",
        "garbage-on-stdout",
        "flood-stderr",
        "eat-memory",
        "ignore-sigterm",
    ];
    let mut deployed = std::collections::BTreeMap::new();
    for mode in modes {
        EchoEntry::fault(mode).add(admin).await?;
        deployed.insert(mode, admin.deploy(&format!("echo-{mode}")).await?);
    }
    let id = |mode: &str| deployed[mode].id;

    // Those that can't serve end in an error that has their last words.
    for (mode, expected) in [
        ("exit-at-once", "fault: exiting at once"),
        ("hang-at-start", "did not answer initialize"),
    ] {
        let failed = admin
            .wait_status(id(mode), S::ErrorRuntime, CRASH_LOOP)
            .await?;
        let message = failed.error_message.clone().unwrap_or_default();
        assert!(message.contains(expected), "{mode}: {message}");
        let events = admin.timeline(id(mode).as_uuid()).await?;
        let told = events.iter().any(|event| event.message.contains(expected));
        assert!(told, "{mode}: the timeline does not tell: {events:?}");
        let found = admin.diagnose(id(mode)).await?;
        let status = found.checks.iter().find(|check| check.name == "status");
        let status = status.context("its status was not looked at")?;
        assert!(
            status.outcome == Outcome::Failed && status.detail.contains(expected),
            "{mode}: {found:?}"
        );
    }

    // Those that can, do: what is no message is passed over, what is written to stderr is bounded.
    for mode in ["garbage-on-stdout", "flood-stderr", "ignore-sigterm"] {
        admin
            .wait_status(id(mode), S::Running, HEALED)
            .await
            .context(mode)?;
        let said = admin
            .call(id(mode), "echo", json!({"text": mode}))
            .await
            .context(mode)?;
        assert_eq!(said.result["content"][0]["text"], mode);
    }
    let agent = cluster
        .agent_with("a", &[id("flood-stderr"), id("ignore-sigterm")])
        .await?;
    let session = agent.session().await?;
    session.tools().await?;
    let log = admin.log_tail(id("flood-stderr"), 10_000).await?;
    assert!(!log.is_empty());
    let files = leaks::below(&machine.dir().join("data"));
    let size: u64 = files
        .iter()
        .filter_map(|path| Some(std::fs::metadata(path).ok()?.len()))
        .sum();
    assert!(
        size < 64 << 20,
        "logs are not bounded: {size} bytes below {}",
        machine.dir().display()
    );

    // One that eats memory gets what its limit gives, and no more.
    let eater = wait_for(SOON, "the eater to be tried", async || {
        let now = admin.instance(id("eat-memory")).await?;
        anyhow::ensure!(now.status != S::PendingStart);
        Ok(now)
    })
    .await?;
    for _ in 0..5 {
        // It may answer before its limit stops it; it may not.
        let _ = admin.call(eater.id, "echo", json!({"text": "x"})).await;
        if !cluster.has_docker() {
            for process in machine.tool_processes(eater.id)? {
                assert!(
                    process.resident_bytes() < 64 << 20,
                    "{}",
                    process.resident_bytes()
                );
            }
        }
    }

    // Nobody else noticed.
    let said = admin.call(good.id, "echo", json!({"text": "good"})).await?;
    assert_eq!(said.result["content"][0]["text"], "good");
    let still: Instance = admin.instance(good.id).await?;
    assert_eq!((still.status, still.runtime.restarts), (S::Running, 0));

    // All of them can be stopped and removed, whatever they do with a SIGTERM.
    for mode in modes {
        admin.instance_verb(id(mode), "stop").await?;
    }
    for mode in modes {
        admin
            .wait_status(id(mode), S::Stopped, HEALED)
            .await
            .context(mode)?;
    }
    for mode in modes {
        admin.remove(id(mode), true).await?;
    }
    for mode in modes {
        cluster.removed(id(mode), false).await.context(mode)?;
    }
    drop(session);
    cluster.finish().await
}

/// An image in a repository of its own that this machine does not have, so that it has to be
/// pulled. Taken out of the engine again with [`Self::forget`].
struct FreshImage {
    repository: String,
    config: tempfile::TempDir,
}

impl FreshImage {
    async fn push(registry: &Registry, name: &str) -> anyhow::Result<Self> {
        let (source, digest) = fixtures::image("echo")?;
        let unique = agentopia_domain::Ambient::system().new_id::<uuid::Uuid>();
        let repository = format!("agentopia/e2e-{name}-{}", unique.simple());
        let fresh = Self {
            repository,
            config: tempfile::tempdir()?,
        };
        let login = json!({"auths": {&registry.host: {
            "auth": STANDARD.encode(format!("{}:{}", registry.user, registry.password)),
        }}});
        std::fs::write(fresh.config.path().join("config.json"), login.to_string())?;
        let source = format!("{source}@{digest}");
        fresh.docker(&["pull", "--quiet", &source]).await?;
        let target = format!("{}/{}:1", registry.host, fresh.repository);
        fresh.docker(&["tag", &source, &target]).await?;
        fresh.docker(&["push", "--quiet", &target]).await?;
        fresh.docker(&["rmi", "--no-prune", &target]).await?;
        Ok(fresh)
    }

    async fn docker(&self, args: &[&str]) -> anyhow::Result<String> {
        let config = self.config.path().to_string_lossy().into_owned();
        docker::docker(&[&["--config", &config], args].concat()).await
    }

    /// A catalog entry that pulls it by tag from `host`.
    fn entry(&self, slug: &str, host: &str, tag: &str) -> EchoEntry {
        let image = json!({"type": "docker_image", "image": format!("{host}/{}", self.repository)});
        EchoEntry::new(slug, &[])
            .with("/packaging", image)
            .with("/versions/0", json!({"version": "1", "tag": tag}))
    }

    async fn forget(&self, host: &str) {
        let image = format!("{host}/{}:1", self.repository);
        // Not there where it was never pulled.
        let _ = docker::docker(&["rmi", "--no-prune", &image]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_refuses_or_lacks_the_tag() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let admin = &cluster.admin;
    let registry = Registry::from_env()?;
    let mut proxy = Proxy::new(cluster.first_machine_port() + 9, &[registry.host.parse()?]);
    let behind = proxy.address().to_string();
    let fresh = FreshImage::push(&registry, "registry").await?;

    // The tag is not there: final, and said.
    fresh
        .entry("no-tag", &registry.host, "missing")
        .add(admin)
        .await?;
    let no_tag = admin.deploy("no-tag").await?;
    let failed = admin
        .wait_status(no_tag.id, S::ErrorRuntime, HEALED)
        .await?;
    let message = failed.error_message.unwrap_or_default();
    assert!(message.contains("missing"), "names the tag: {message}");

    // The password is wrong: said, and mended by the right one.
    admin
        .put_registry_login(&registry.host, &registry.user, "wrong")
        .await?;
    fresh
        .entry("wrong-password", &registry.host, "1")
        .add(admin)
        .await?;
    let wrong = admin.deploy("wrong-password").await?;
    let failed = admin.wait_status(wrong.id, S::ErrorRuntime, HEALED).await?;
    let message = failed.error_message.unwrap_or_default();
    assert!(
        message.contains(&registry.host),
        "names the registry: {message}"
    );
    assert!(!message.contains(&registry.password), "{message}");
    admin
        .put_registry_login(&registry.host, &registry.user, &registry.password)
        .await?;
    admin.instance_verb(wrong.id, "restart").await?;
    cluster.running(wrong.id).await?;

    // The registry is down: tried again by itself until it is up.
    admin
        .put_registry_login(&behind, &registry.user, &registry.password)
        .await?;
    fresh
        .entry("registry-down", &behind, "1")
        .add(admin)
        .await?;
    let down = admin.deploy("registry-down").await?;
    wait_for(SOON, "the trouble to be told", async || {
        let now = admin.instance(down.id).await?;
        let told = [now.progress.clone(), now.error_message.clone()];
        anyhow::ensure!(
            told.iter().flatten().any(|text| text.contains(&behind)),
            "{now:?}"
        );
        anyhow::ensure!(now.status != S::Running);
        Ok(())
    })
    .await?;
    proxy.up().await?;
    admin.wait_status(down.id, S::Running, HEALED).await?;

    for id in [no_tag.id, wrong.id, down.id] {
        admin.remove(id, true).await?;
        cluster.removed(id, false).await?;
    }
    fresh.forget(&registry.host).await;
    fresh.forget(&behind).await;
    proxy.down().await;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_disk_floor_nothing_is_pulled_and_what_runs_goes_on() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let admin = &cluster.admin;
    let registry = Registry::from_env()?;
    let fresh = FreshImage::push(&registry, "disk").await?;
    let running = cluster.deploy("echo-http").await?;
    let machine = cluster.machine().await?;
    machine.configure("disk_floor_bytes", i64::MAX).await?;
    fresh
        .entry("needs-room", &registry.host, "1")
        .add(admin)
        .await?;
    let refused = admin.deploy("needs-room").await?;
    wait_for(HEALED, "the full disk to be told", async || {
        let now = admin.instance(refused.id).await?;
        let told = [now.progress.clone(), now.error_message.clone()];
        anyhow::ensure!(
            told.iter().flatten().any(|text| text.contains("disk")),
            "{now:?}"
        );
        anyhow::ensure!(now.status != S::Running);
        Ok(())
    })
    .await?;
    wait_for(SOON, "what ran before to go on", async || {
        let said = admin
            .call(running.id, "echo", json!({"text": "on"}))
            .await?;
        anyhow::ensure!(said.result["content"][0]["text"] == "on", "{said:?}");
        Ok(())
    })
    .await?;
    // There is room again.
    machine.configure("disk_floor_bytes", 1).await?;
    admin.wait_status(refused.id, S::Running, HEALED).await?;
    admin.remove(refused.id, true).await?;
    cluster.removed(refused.id, false).await?;
    fresh.forget(&registry.host).await;
    cluster.finish().await
}
