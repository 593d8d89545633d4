//! Where tools may go to (DTMA-4), from the catalog to the kernel: what an entry says, what people may change
//! about it, and that it holds while the management agent is away.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use agentopia_domain::egress::{Destinations, Egress};
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::api::refused;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::{Cluster, Runtime, binaries, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const PORT: u16 = 8443;

/// Two hosts of the internet, in a network namespace on a wire to this machine.
struct World {
    name: String,
    server: std::process::Child,
    /// This machine's address on the wire.
    near: Ipv4Addr,
    one: Ipv4Addr,
    other: Ipv4Addr,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let number = std::process::id();
        let [_, _, a, b] = number.to_be_bytes();
        let base = u32::from(Ipv4Addr::new(11, a, b, 240));
        let [near, one, other] = [1, 2, 3].map(|step| Ipv4Addr::from(base + step));
        let name = format!("agw-{number}");
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {name}h type veth peer name {name}n netns {name}"
        ))?;
        ip(&format!("addr add {near}/29 dev {name}h"))?;
        ip(&format!("link set {name}h up"))?;
        ip(&format!("-n {name} addr add {one}/29 dev {name}n"))?;
        ip(&format!("-n {name} addr add {other}/29 dev {name}n"))?;
        ip(&format!("-n {name} link set {name}n up"))?;
        let echo = binaries::built("agentopia-echo")?;
        let server = Command::new("ip")
            .args(["netns", "exec", &name])
            .arg(echo)
            .args(["--http", &format!("0.0.0.0:{PORT}")])
            .spawn()?;
        Ok(Self {
            name,
            server,
            near,
            one,
            other,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "ip {arguments}: {said}");
    Ok(())
}

/// Whether a connection from the tool's network comes about.
fn connects(tool: &Instance, to: Ipv4Addr, port: u16) -> anyhow::Result<bool> {
    let container = tool.runtime.container_id.clone().context("no container")?;
    let shown = Command::new("docker")
        .args(["inspect", "--format", "{{.State.Pid}}", &container])
        .output()?;
    let pid = String::from_utf8(shown.stdout)?;
    let mut probe = Command::new("nsenter");
    probe
        .arg(format!("--net=/proc/{}/ns/net", pid.trim()))
        .args(["timeout", "3", "bash", "-c"])
        .arg(format!("exec 3<>/dev/tcp/{to}/{port}"));
    Ok(probe.output()?.status.success())
}

fn rules(id: InstanceId) -> anyhow::Result<usize> {
    let chain = format!("AGOUT-{:016X}", id.as_uuid().as_u64_pair().1);
    let listing = Command::new("iptables")
        .args(["-w", "5", "-t", "mangle", "-S"])
        .output()?;
    let listing = String::from_utf8(listing.stdout)?;
    Ok(listing.lines().filter(|line| line.contains(&chain)).count())
}

fn allow(line: &str) -> anyhow::Result<Egress> {
    Ok(Egress::Allow {
        to: Destinations::parse([line])?,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_goes_where_the_catalog_and_its_owner_let_it() -> anyhow::Result<()> {
    let world = World::new()?;
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let admin = &cluster.admin;
    let (one, other) = (
        format!("{}:{PORT}", world.one),
        format!("{}:{PORT}", world.other),
    );
    EchoEntry::new("echo-held", &[])
        .with(
            "/egress",
            json!({"type": "allow", "to": [&one, "api.example.com:443"]}),
        )
        .add(admin)
        .await?;

    // Somebody without an admin's rights gets no more than the catalog says.
    let user = cluster.user("somebody@example.com").await?;
    let mut request = deployment("echo-held");
    for more in [Egress::Open, allow(&other)?, allow("example.com:443")?] {
        request.egress = Some(more);
        let outcome = user.post::<Value>("/api/v1/instances", &request).await;
        let problem = refused(outcome, "invalid_input")?;
        assert_eq!(problem.errors[0].field, "egress");
        assert!(problem.detail.contains(&one), "{}", problem.detail);
    }
    // What people are told before they deploy, and what the entry says is what holds.
    let cli = cluster.cli()?;
    let shown = cli.run(&["catalog", "show", "echo-held"]).await?;
    assert!(shown.stdout.contains(&one), "{}", shown.stdout);
    let tool = cluster.deploy("echo-held").await?;
    assert_eq!(
        tool.egress.to_string(),
        format!("api.example.com:443, {one}")
    );
    assert!(connects(&tool, world.one, PORT)?);
    assert!(!connects(&tool, world.other, PORT)?);
    let said = admin.call(tool.id, "echo", json!({"text": "held"})).await?;
    assert_eq!(said.result["content"][0]["text"], "held");

    // Less holds at once, in the same container, and while nobody looks after it.
    let wrong = cli
        .run(&["tools", "update", "echo-held", "--egress", "world"])
        .await?;
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    let updated: Instance = cli
        .json(&["tools", "update", "echo-held", "--egress", "none"])
        .await?;
    assert_eq!(updated.egress, Egress::None);
    wait_for(SOON, "the way to be closed", async || {
        anyhow::ensure!(!connects(&tool, world.one, PORT)?);
        Ok(())
    })
    .await?;
    let now = admin.instance(tool.id).await?;
    assert_eq!(now.runtime.container_id, tool.runtime.container_id);
    let machine = cluster.machine().await?;
    let before = machine.kill_dtma().await?;
    assert!(!connects(&tool, world.one, PORT)?);
    machine.dtma_after(before).await?;
    cluster.running(tool.id).await?;
    assert!(!connects(&tool, world.one, PORT)?);

    // An admin may give it the world; its machine stays closed to it.
    let opened: Instance = cli
        .json(&["tools", "update", "echo-held", "--egress", "open"])
        .await?;
    assert_eq!(opened.egress, Egress::Open);
    let opened = wait_for(SOON, "the world", async || {
        let now = cluster.running(tool.id).await?;
        anyhow::ensure!(connects(&now, world.other, PORT)?);
        Ok(now)
    })
    .await?;
    assert_ne!(opened.runtime.container_id, tool.runtime.container_id);
    let own = std::net::TcpListener::bind("0.0.0.0:0")?;
    assert!(!connects(&opened, world.near, own.local_addr()?.port())?);
    assert!(!connects(&opened, Ipv4Addr::new(169, 254, 169, 254), 80)?);

    assert!(rules(tool.id)? > 0);
    admin.remove(tool.id, true).await?;
    cluster.removed(tool.id, false).await?;
    assert_eq!(rules(tool.id)?, 0);
    cluster.finish().await
}
