//! The simulator's real machines, without the product: what DigitalOcean's actions do to them, what they do by
//! themselves, and that nothing of them is left.

use std::time::Duration;

use agentopia_test_support::simulator::{self, Simulator};
use agentopia_test_support::{Droplet, docker, wait_for};
use serde_json::{Value, json};

/// For a machine to boot, or to halt, on a busy host.
const SOON: Duration = Duration::from_secs(90);
/// Says that it ran, and how often.
const USER_DATA: &str = "#cloud-config\nruncmd:\n  - [sh, -c, 'echo ran >>/root/ran']\n";

async fn create(simulator: &Simulator, name: &str) -> anyhow::Result<u64> {
    let answer = simulator
        .create(&json!({
            "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
            "user_data": USER_DATA,
        }))
        .await?;
    answer["droplet"]["id"]
        .as_u64()
        .ok_or_else(|| anyhow::anyhow!("{answer}"))
}

async fn wait_for_status(simulator: &Simulator, id: u64, status: &str) -> anyhow::Result<Value> {
    wait_for(SOON, &format!("droplet {id} to be {status}"), async || {
        let droplet = simulator.get(&format!("/v2/droplets/{id}")).await?["droplet"].clone();
        anyhow::ensure!(
            droplet["status"] == status && !droplet["locked"].as_bool().unwrap_or(true),
            "{droplet}"
        );
        Ok(droplet)
    })
    .await
}

/// The last action that has ended, which has to be of this kind.
async fn ended(simulator: &Simulator, id: u64, kind: &str) -> anyhow::Result<String> {
    wait_for(SOON, &format!("{kind} to end"), async || {
        let actions = simulator.get(&format!("/v2/droplets/{id}/actions")).await?;
        let last = &actions["actions"][0];
        anyhow::ensure!(
            last["type"] == kind && last["status"] != "in-progress",
            "{actions}"
        );
        Ok(last["status"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

async fn act(simulator: &Simulator, id: u64, action: Value) -> anyhow::Result<()> {
    let kind = action["type"].as_str().unwrap_or_default().to_owned();
    simulator.act_with(id, &action).await?;
    anyhow::ensure!(
        ended(simulator, id, &kind).await? == "completed",
        "{kind} did not complete"
    );
    Ok(())
}

/// Waits until it has booted, for the `times`-th time.
async fn booted(machine: &Droplet) -> anyhow::Result<()> {
    wait_for(SOON, "cloud-init and the engine to be done", async || {
        machine
            .shell("test -e /run/cloud-init/result.json && docker info")
            .await
    })
    .await?;
    Ok(())
}

async fn boot_time(machine: &Droplet) -> anyhow::Result<String> {
    // When PID 1 started, in clock ticks of the host.
    machine.shell("cut -d' ' -f22 /proc/1/stat").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_does_what_its_droplet_is_told() -> anyhow::Result<()> {
    let (mut simulator, _root) = Simulator::start_alone().await?;
    let id = create(&simulator, "web").await?;
    let droplet = wait_for_status(&simulator, id, "active").await?;
    let machine = Droplet::of(id).await?;
    booted(&machine).await?;
    assert_eq!(
        droplet["networks"]["v4"].as_array().map(|all| {
            all.iter().any(|net| {
                net["type"] == "public" && net["ip_address"] == machine.address.to_string()
            })
        }),
        Some(true),
        "{droplet}"
    );
    assert_eq!(machine.run(&["hostname"]).await?, "web");
    assert_eq!(
        machine
            .run(&["cat", "/var/lib/cloud/data/instance-id"])
            .await?,
        id.to_string()
    );

    // A reboot from inside is the machine's own business.
    let first = boot_time(&machine).await?;
    machine.run(&["systemctl", "reboot"]).await?;
    wait_for(SOON, "the reboot", async || {
        anyhow::ensure!(boot_time(&machine).await? != first, "it has not rebooted");
        Ok(())
    })
    .await?;
    booted(&machine).await?;
    wait_for_status(&simulator, id, "active").await?;
    // What cloud-init does once, it has done once; what was written is still there.
    assert_eq!(machine.run(&["cat", "/root/ran"]).await?, "ran");

    // Powered off from inside, and on by its owner.
    machine.run(&["systemctl", "poweroff"]).await?;
    wait_for_status(&simulator, id, "off").await?;
    act(&simulator, id, json!({"type": "power_on"})).await?;
    wait_for_status(&simulator, id, "active").await?;
    booted(&machine).await?;

    for action in ["power_cycle", "reboot"] {
        let before = boot_time(&machine).await?;
        act(&simulator, id, json!({ "type": action })).await?;
        booted(&machine).await?;
        assert_ne!(boot_time(&machine).await?, before, "{action}");
    }

    act(&simulator, id, json!({"type": "shutdown"})).await?;
    wait_for_status(&simulator, id, "off").await?;
    assert!(!machine.is_on().await?);
    let space = "df --output=size -BG /var/lib/docker | tail -n 1 | tr -dc 0-9";
    act(
        &simulator,
        id,
        json!({"type": "resize", "size": "s-1vcpu-2gb", "disk": true}),
    )
    .await?;
    act(&simulator, id, json!({"type": "power_on"})).await?;
    booted(&machine).await?;
    let limit = machine.shell(
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true",
    );
    assert_eq!(limit.await?, (2_u64 << 30).to_string());
    let size: u32 = machine.shell(space).await?.parse()?;
    assert!((45..=50).contains(&size), "{size} GB of 50");

    simulator.destroy(id).await?;
    wait_for(SOON, "nothing to be left", async || {
        let left = simulator::left_on_host().await?;
        anyhow::ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    simulator.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_end_with_their_simulator_and_with_the_next_one() -> anyhow::Result<()> {
    let (mut simulator, _root) = Simulator::start_alone().await?;
    for name in ["one", "two"] {
        let id = create(&simulator, name).await?;
        wait_for_status(&simulator, id, "active").await?;
        let machine = Droplet::of(id).await?;
        // What is in the machines' network holds it.
        let far = std::net::Ipv4Addr::from(u32::from(machine.address) + 100).to_string();
        machine.squat(&far).await?;
    }
    assert!(!simulator::left_on_host().await?.is_empty());
    simulator.kill()?;
    assert!(
        !simulator::left_on_host().await?.is_empty(),
        "a simulator that was killed leaves its machines"
    );
    let (mut simulator, _root) = Simulator::start_alone().await?;
    assert_eq!(simulator::left_on_host().await?, Vec::<String>::new());
    let id = create(&simulator, "three").await?;
    wait_for_status(&simulator, id, "active").await?;
    simulator.stop().await?;
    assert_eq!(simulator::left_on_host().await?, Vec::<String>::new());
    Ok(())
}

/// The engine refuses: somebody else has the next machine's address.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_be_made_is_an_action_that_errored() -> anyhow::Result<()> {
    let (mut simulator, _root) = Simulator::start_alone().await?;
    let first = create(&simulator, "first").await?;
    wait_for_status(&simulator, first, "active").await?;
    let machine = Droplet::of(first).await?;
    let next = std::net::Ipv4Addr::from(u32::from(machine.address) + 1).to_string();
    let squatter = machine.squat(&next).await?;
    let outcome = async {
        let second = create(&simulator, "second").await?;
        anyhow::ensure!(
            ended(&simulator, second, "create").await? == "errored",
            "it did not end errored"
        );
        wait_for_status(&simulator, second, "new").await?;
        Ok(second)
    };
    let outcome = outcome.await;
    docker::docker(&["rm", "-f", &squatter]).await?;
    simulator.destroy(outcome?).await?;
    simulator.destroy(first).await?;
    wait_for(SOON, "nothing to be left", async || {
        let left = simulator::left_on_host().await?;
        anyhow::ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    simulator.stop().await
}
