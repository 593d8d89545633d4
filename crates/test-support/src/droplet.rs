//! One droplet's machine, from inside and from outside: what root on it sees, and what happens to machines.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use agentopia_domain::InstanceId;
use anyhow::Context as _;

use crate::docker::{self, INSTANCE, docker};
use crate::simulator::{self, SUBNET};

const LABEL: &str = "digitalocean-sim.droplet";
const JOURNAL: &str = "tail -n 40 /var/log/cloud-init-output.log /var/log/agentopia-bootstrap.log; \
                       journalctl --no-pager -n 80 -u agentopia-dtma -u agentopia-metadata-block";
/// The processor time in a period, the period, and the bytes of memory, from either kind of control groups.
const HARDWARE: &str = "cd /sys/fs/cgroup; \
                        if [ -e cpu.max ]; then cat cpu.max memory.max; \
                        else cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us \
                        memory/memory.limit_in_bytes; fi";
/// Its only interface to the world.
const INTERFACE: &str = "eth0";

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Droplet {
    /// DigitalOcean's id.
    pub id: u64,
    /// Its address.
    pub address: Ipv4Addr,
    container: String,
}

/// What a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// Processors, in thousandths.
    pub cpu_millis: u64,
    /// Memory.
    pub memory_bytes: u64,
}

impl Droplet {
    /// The machine of a droplet.
    ///
    /// # Errors
    /// When there is none.
    pub async fn of(id: u64) -> anyhow::Result<Self> {
        let found = docker::with_label("container", LABEL, &id.to_string()).await?;
        anyhow::ensure!(found.len() == 1, "{} machines of droplet {id}", found.len());
        let seen = docker::inspect("container", &found[0]).await?;
        let networks = seen["NetworkSettings"]["Networks"].as_object();
        let configured = networks
            .and_then(|networks| networks.values().next())
            .and_then(|network| network["IPAMConfig"]["IPv4Address"].as_str());
        Ok(Self {
            id,
            address: configured.context("the machine has no address")?.parse()?,
            container: found[0].clone(),
        })
    }

    /// Runs a program on it, as root, and gives its output.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn run(&self, command: &[&str]) -> anyhow::Result<String> {
        docker(&[&["exec", &self.container], command].concat()).await
    }

    /// A line of shell.
    ///
    /// # Errors
    /// When it fails.
    pub async fn shell(&self, line: &str) -> anyhow::Result<String> {
        self.run(&["bash", "-c", line]).await
    }

    /// Pulls the plug, without DigitalOcean's doing.
    ///
    /// # Errors
    /// When it is off.
    pub async fn lose_power(&self) -> anyhow::Result<()> {
        docker(&["kill", &self.container]).await.map(drop)
    }

    /// Puts something else on an address of the machines' network, and gives the container's id. It is
    /// labelled as a machine: should the test be killed, the next simulator takes it away.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn squat(&self, address: &str) -> anyhow::Result<String> {
        let seen = docker::inspect("container", &self.container).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let network = text(&seen["HostConfig"]["NetworkMode"]);
        let image = text(&seen["Config"]["Image"]);
        let ours = format!("{}={SUBNET}", simulator::LABEL);
        let place = ["--network", &network, "--ip", address, "--label", &ours];
        let run = ["--entrypoint", "sleep", &image, "infinity"];
        docker(&[&["run", "-d", "--rm"], &place[..], &run[..]].concat()).await
    }

    /// Whether it is on.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn is_on(&self) -> anyhow::Result<bool> {
        let seen = docker::inspect("container", &self.container).await?;
        Ok(seen["State"]["Running"].as_bool().unwrap_or(false))
    }

    /// When it was turned on last, in the engine's words: another text is another boot.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn turned_on_at(&self) -> anyhow::Result<String> {
        let seen = docker::inspect("container", &self.container).await?;
        let at = seen["State"]["StartedAt"].as_str();
        Ok(at.context("the engine does not say")?.to_owned())
    }

    /// What it has, as its kernel enforces it: read from inside.
    ///
    /// # Errors
    /// When it is off.
    pub async fn hardware(&self) -> anyhow::Result<Hardware> {
        let said = self.shell(HARDWARE).await?;
        let numbers: Vec<u64> = said
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("not three numbers: {said:?}"))?;
        let [quota, period, memory] = numbers[..] else {
            anyhow::bail!("not three numbers: {said:?}");
        };
        Ok(Hardware {
            cpu_millis: quota * 1000 / period,
            memory_bytes: memory,
        })
    }

    /// Cuts it off: nothing comes in, nothing goes out, nobody is told. It goes on by itself.
    ///
    /// # Errors
    /// When it is off.
    pub async fn partition(&self) -> anyhow::Result<()> {
        self.firewall("--insert").await
    }

    /// Ends [`Self::partition`].
    ///
    /// # Errors
    /// When it is off.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.firewall("--delete").await
    }

    async fn firewall(&self, verb: &str) -> anyhow::Result<()> {
        for [chain, side] in [
            ["INPUT", "--in-interface"],
            ["OUTPUT", "--out-interface"],
            ["FORWARD", "--in-interface"],
            ["FORWARD", "--out-interface"],
        ] {
            let rule = [
                "iptables", "--wait", verb, chain, side, INTERFACE, "--jump", "DROP",
            ];
            self.run(&rule).await?;
        }
        Ok(())
    }

    /// The container of a tool, as the machine's own engine names it.
    ///
    /// # Errors
    /// When there is not exactly one that runs.
    pub async fn tool(&self, instance: InstanceId) -> anyhow::Result<String> {
        let filter = format!("label={INSTANCE}={instance}");
        let listed = self
            .run(&["docker", "ps", "-q", "--filter", &filter])
            .await?;
        let found: Vec<_> = listed.lines().collect();
        anyhow::ensure!(
            found.len() == 1,
            "{} containers of {instance} run",
            found.len()
        );
        Ok(found[0].to_owned())
    }
}

/// What the bootstrap and systemd wrote on every machine, for a test that failed.
#[expect(
    clippy::print_stderr,
    reason = "the test runner shows this for a test that failed"
)]
pub(crate) fn report() {
    let run = |args: &[&str]| {
        let output = Command::new("docker")
            .args(args)
            .stdin(Stdio::null())
            .output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let machines = run(&["ps", "-q", "--filter", &format!("label={LABEL}")]);
    for machine in machines.lines() {
        eprintln!(
            "==> machine {machine}\n{}",
            run(&["exec", machine, "bash", "-c", JOURNAL])
        );
    }
}
