//! Whatever describes a server is in the catalog with one command and running with one more: an image of
//! the test registry, a pasted block of a README, the address of a server that runs elsewhere, and the
//! catalog of the installation itself, read as a registry.

use std::process::Stdio;
use std::time::Duration;

use agentopia_api::catalog_import::CatalogImport;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::fixtures::image;
use agentopia_test_support::{Cluster, Runtime, binaries, wait_for};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// Our echo server, outside of the product, on a port of loopback.
struct Elsewhere {
    url: String,
    _server: Child,
}

impl Elsewhere {
    async fn start() -> anyhow::Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let server = Command::new(binaries::built("agentopia-echo")?)
            .args(["--http", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        wait_for(
            Duration::from_secs(10),
            "the server elsewhere to listen",
            async || Ok(tokio::net::TcpStream::connect(address).await.map(drop)?),
        )
        .await?;
        Ok(Self {
            url: format!("http://{address}/mcp"),
            _server: server,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_find_is_in_the_catalog_with_one_command_and_running_with_one_more()
-> anyhow::Result<()> {
    let elsewhere = Elsewhere::start().await?;
    let cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_REMOTE_ALLOW", "127.0.0.1/32")
        .start()
        .await?;
    let cli = cluster.cli()?;
    let says = async |slug: &str, text: &str| {
        let instance = cluster.deploy_with(deployment(slug)).await?;
        let said = cluster
            .admin
            .call(instance.id, "echo", json!({"text": text}))
            .await?;
        let said = serde_json::to_value(&said)?.to_string();
        anyhow::ensure!(said.contains(text), "{slug}: {said}");
        anyhow::Ok(())
    };

    // An image, by its reference alone.
    let (repository, digest) = image("echo")?;
    let reference = format!("{repository}@{digest}");
    let import = ["catalog", "import", &reference, "--slug", "found-image"];
    let dry: CatalogImport = cli.json(&[&import[..], &["--dry-run"]].concat()).await?;
    let notes = dry.items[0].notes.join("\n");
    assert!(notes.contains("stdio was taken"), "{notes}");
    let made = cli.run(&import).await?;
    assert!(
        made.code == 0 && made.stdout.contains("added found-image"),
        "{made:?}"
    );
    says("found-image", "from an image").await?;

    // What a README shows, on standard input: a container and an address.
    let block = json!({"mcpServers": {
        "found-container": {"command": "docker", "args": ["run", "-i", "--rm", "-e", "GREETING=Moin", reference]},
        "found-address": {"type": "http", "url": elsewhere.url},
    }});
    let pasted = cli
        .run_with_input(&["catalog", "import", "-"], &block.to_string())
        .await?;
    assert_eq!(pasted.code, 0, "{pasted:?}");
    says("found-container", "from a README").await?;
    says("found-address", "from an address").await?;

    // A draft, corrected by hand and imported.
    let mut draft: Value = cli
        .json(&[
            "catalog",
            "import",
            &reference,
            "--slug",
            "found-draft",
            "--dry-run",
        ])
        .await?;
    draft["items"][0]["definition"]["name"] = "Corrected".into();
    let saved = cli
        .run_with_input(&["catalog", "import", "-"], &draft.to_string())
        .await?;
    assert_eq!(saved.code, 0, "{saved:?}");
    let shown: Value = cli.json(&["catalog", "show", "found-draft"]).await?;
    assert_eq!(shown["name"], "Corrected");

    // The catalog as a registry: what it shows can be imported as it is.
    let server: Value = cluster
        .admin
        .get("/v0.1/servers/agentopia%2Ffound-image/versions/latest")
        .await?;
    let again = cli
        .run_with_input(
            &["catalog", "import", "-", "--slug", "found-registry"],
            &server.to_string(),
        )
        .await?;
    assert_eq!(again.code, 0, "{again:?}");
    says("found-registry", "from a registry").await?;
    cluster.finish().await
}
