//! Packages of npm and PyPI, imported by their names: each becomes an image on the machine, made once, and runs as
//! any other tool. What can't be installed says why, and leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use agentopia_api::catalog_import::CatalogImport;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::{EnvironmentId, InstanceId};
use agentopia_test_support::fixtures::image;
use agentopia_test_support::{Cluster, Runtime, docker, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};

/// From wanted to running with an installation in between, on a machine that others use too.
const INSTALL: Duration = Duration::from_secs(240);

/// The version that an image recipe pins, so that the tests know of one that is there.
fn pinned(recipe: &str) -> anyhow::Result<String> {
    let root = std::env::var_os("AGENTOPIA_ROOT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        Into::into,
    );
    let recipe_dir = root.join("tools/images").join(recipe);
    if let Ok(text) = std::fs::read_to_string(recipe_dir.join("package.json")) {
        let about: Value = serde_json::from_str(&text)?;
        let found = &about["dependencies"][format!("@modelcontextprotocol/{}", &recipe[4..])];
        return found.as_str().map(str::to_owned).context("no version");
    }
    let text = std::fs::read_to_string(recipe_dir.join("requirements.txt"))?;
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(&format!("{recipe}==")));
    let version = found.and_then(|rest| rest.split_whitespace().next());
    version.map(str::to_owned).context("no version")
}

/// A cluster that makes images on ours, and trusts the certificate authorities of this host in doing so.
async fn cluster() -> anyhow::Result<(Cluster, tempfile::NamedTempFile)> {
    let reference = |name: &str| {
        let (repository, digest) = image(name)?;
        anyhow::Ok(format!("{repository}@{digest}"))
    };
    let mut authorities = Vec::new();
    for file in std::fs::read_dir("/usr/local/share/ca-certificates")
        .into_iter()
        .flatten()
    {
        authorities.extend(std::fs::read(file?.path())?);
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &authorities)?;
    let mut cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_NPM_BASE_IMAGE", &reference("package-node")?)
        .set("AGENTOPIA_PYPI_BASE_IMAGE", &reference("package-python")?);
    if !authorities.is_empty() {
        let path = file.path().to_str().context("a strange path")?;
        cluster = cluster.set("AGENTOPIA_PACKAGE_CA_FILE", path);
    }
    Ok((cluster.start().await?, file))
}

/// The images that the environment's machine made.
async fn images(environment: EnvironmentId) -> anyhow::Result<Vec<String>> {
    let label = format!("label={}={environment}", docker::ENVIRONMENT);
    let ids = ["images", "-q", "--no-trunc", "--filter", &label];
    let listed = docker::docker(&ids).await?;
    let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
    ids.sort();
    Ok(ids)
}

async fn running(cluster: &Cluster, id: InstanceId) -> anyhow::Result<()> {
    let waited = cluster
        .admin
        .wait_status(id, InstanceStatus::Running, INSTALL)
        .await;
    waited.map(drop)
}

async fn says(
    cluster: &Cluster,
    id: InstanceId,
    tool: &str,
    arguments: Value,
    expected: &str,
) -> anyhow::Result<()> {
    let said = cluster.admin.call(id, tool, arguments).await?;
    let said = serde_json::to_value(&said)?.to_string();
    anyhow::ensure!(said.contains(expected), "{tool}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_run_as_images_that_the_machine_makes_once() -> anyhow::Result<()> {
    let (cluster, _authorities) = cluster().await?;
    let cli = cluster.cli()?;

    let source = format!("pypi:mcp-server-time@{}", pinned("mcp-server-time")?);
    let made = cli
        .run(&["catalog", "import", &source, "--slug", "clock"])
        .await?;
    assert_eq!(made.code, 0, "{made:?}");
    // It has to be told which directories it may show: an argument, added to the draft.
    let name = "npm:@modelcontextprotocol/server-filesystem";
    let source = format!("{name}@{}", pinned("mcp-server-filesystem")?);
    let import = ["catalog", "import", &source, "--slug", "files", "--dry-run"];
    let draft: CatalogImport = cli.json(&import).await?;
    let mut draft = serde_json::to_value(&draft)?;
    draft["items"][0]["definition"]["versions"][0]["args"] = json!(["/tmp"]);
    let saved = cli
        .run_with_input(&["catalog", "import", "-"], &draft.to_string())
        .await?;
    assert_eq!(saved.code, 0, "{saved:?}");

    // Both at once, and one of them twice: of one image there is one build.
    let files = cluster.admin.deploy("files").await?.id;
    let twin = cluster.admin.deploy("files").await?.id;
    let clock = cluster.admin.deploy("clock").await?.id;
    for id in [files, twin, clock] {
        running(&cluster, id).await?;
    }
    let listing = "list_allowed_directories";
    says(&cluster, files, listing, json!({}), "/tmp").await?;
    says(&cluster, twin, listing, json!({}), "/tmp").await?;
    let zone = json!({"timezone": "UTC"});
    says(&cluster, clock, "get_current_time", zone.clone(), "UTC").await?;
    let environment = cluster.admin.environment().await?.id;
    let first = images(environment).await?;
    assert_eq!(first.len(), 2, "{first:?}");

    // A package that is an HTTP server: how it is started stands in its entry.
    let version = pinned("mcp-server-everything")?;
    let server = json!({
        "slug": "by-http", "name": "Everything", "status": "available",
        "packaging": {"type": "package", "registry": "npm", "name": "@modelcontextprotocol/server-everything"},
        "transport": {"type": "streamable_http", "port": 3001, "path": "/mcp"},
        "versions": [{"version": version, "args": ["streamableHttp"], "package": {"version": version}}],
        "default_version": version,
    });
    let saved = cli
        .run_with_input(&["catalog", "import", "-"], &server.to_string())
        .await?;
    assert_eq!(saved.code, 0, "{saved:?}");
    let everything = cluster.admin.deploy("by-http").await?.id;
    running(&cluster, everything).await?;
    let said = json!({"message": "by HTTP"});
    says(&cluster, everything, "echo", said, "by HTTP").await?;
    let first = images(environment).await?;
    assert_eq!(first.len(), 3, "{first:?}");

    // It is a tool like any other: an own user, a root that can't be written.
    let container = cluster.machine().await?.container(clock).await?;
    let seen = docker::inspect("container", &container).await?;
    assert_eq!(seen["HostConfig"]["ReadonlyRootfs"], true);
    let user = seen["Config"]["User"].as_str().unwrap_or_default();
    assert!(user.starts_with('2'), "an instance's own user: {user}");
    let lock = &seen["Config"]["Labels"]["agentopia.lock"];
    assert!(
        lock.as_str()
            .is_some_and(|lock| lock.starts_with("sha256:"))
    );

    // Another instance needs no build, and no word of one.
    let second = cluster.deploy("clock").await?.id;
    says(&cluster, second, "get_current_time", zone, "UTC").await?;
    assert_eq!(images(environment).await?, first);

    // With the environment everything goes: the images and the cache too.
    cluster.finish().await?;
    assert_eq!(images(environment).await?, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_installed_says_why_and_leaves_nothing() -> anyhow::Result<()> {
    let (cluster, _authorities) = cluster().await?;
    let cli = cluster.cli()?;
    for (slug, source, why) in [
        (
            "no-version",
            "npm:@modelcontextprotocol/server-filesystem@0.0.1",
            "no version 0.0.1",
        ),
        (
            "no-wheel",
            "pypi:mcp-server-time@0.0.0.1",
            "no version 0.0.0.1",
        ),
        ("no-server", "npm:is-number@7.0.0", "no server"),
    ] {
        let made = cli
            .run(&["catalog", "import", source, "--slug", slug])
            .await?;
        assert_eq!(made.code, 0, "{made:?}");
        let id = cluster.admin.deploy(slug).await?.id;
        let failed = cluster
            .admin
            .wait_status(id, InstanceStatus::ErrorRuntime, INSTALL)
            .await?;
        let said = failed.error_message.unwrap_or_default();
        assert!(said.contains(why), "{source}: {said}");
    }
    for source in [
        "npm:a;reboot@1.0.0",
        "npm:$(reboot)@1.0.0",
        "pypi:a`reboot`@1.0.0",
        "npm:a@1.0.0 --prefix=/",
        "pypi:--index-url@1.0.0",
    ] {
        let refused = cli.run(&["catalog", "import", source]).await?;
        assert_ne!(refused.code, 0, "{source}: {refused:?}");
    }
    let environment = cluster.admin.environment().await?.id;
    assert_eq!(images(environment).await?, [""; 0]);
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_while_it_installs_begins_again() -> anyhow::Result<()> {
    let (cluster, _authorities) = cluster().await?;
    let source = format!("pypi:mcp-server-time@{}", pinned("mcp-server-time")?);
    let import = ["catalog", "import", &source, "--slug", "clock"];
    let made = cluster.cli()?.run(&import).await?;
    assert_eq!(made.code, 0, "{made:?}");
    let id = cluster.admin.deploy("clock").await?.id;
    let environment = cluster.admin.environment().await?.id;
    let own = environment.to_string();
    wait_for(INSTALL, "the installation to be under way", async || {
        let builds = docker::with_label("container", docker::ENVIRONMENT, &own).await?;
        let build = builds.first().context("it has not begun")?;
        let said = docker::docker(&["logs", build]).await?;
        anyhow::ensure!(said.contains("Collecting"), "pip has not begun: {said}");
        Ok(())
    })
    .await?;
    let machine = cluster.machine().await?;
    let before = machine.kill_dtma().await?;
    machine.dtma_after(before).await?;
    running(&cluster, id).await?;
    let zone = json!({"timezone": "UTC"});
    says(&cluster, id, "get_current_time", zone, "UTC").await?;
    assert_eq!(images(environment).await?.len(), 1);
    cluster.finish().await
}
