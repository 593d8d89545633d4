//! The machine gets another size (ENV-10): it goes off, has other processors and memory, and comes back with
//! its agent and its tools. A size with a smaller disk is refused before anything happens; what
//! DigitalOcean refuses or can't do ends with the machine on, as it was.

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::api::refused;
use agentopia_test_support::docker::docker;
use agentopia_test_support::droplet::Hardware;
use agentopia_test_support::wait_for;
use serde_json::json;

use crate::firewall;
use crate::story::{BOOT, HEALED, Story};

/// The size that the machine was made with: 1 processor, 2 GB, a disk of 50 GB.
const SMALL: &str = "s-1vcpu-2gb";
/// 2 processors, 4 GB, and a larger disk, which the machine is not to get: a disk can't shrink again.
const LARGE: &str = "s-2vcpu-4gb";
/// A disk of 25 GB.
const SMALLER_DISK: &str = "s-1vcpu-1gb";

pub(crate) async fn up_and_down_and_not_at_all(story: &Story) -> anyhow::Result<()> {
    smaller_disk_is_refused(story).await?;

    let up = change(story, LARGE).await?;
    assert_eq!(up.error, None);
    assert_eq!(
        up.actions,
        [
            "shutdown completed",
            "resize completed",
            "power_on completed"
        ]
    );
    assert_eq!(
        up.phases,
        ["resizing", "starting", "reporting", "returning_tools"]
    );
    has(story, LARGE).await?;

    // It can't be done, as it turns out when the machine is off.
    let simulator = &story.cluster.simulator;
    simulator
        .fault(&json!({"fault": "action_errored", "action": "resize", "when": {"nth": 1}}))
        .await?;
    let failed = change(story, SMALL).await?;
    let error = failed.error.unwrap_or_default();
    assert!(
        error.contains("could not give the machine the new size"),
        "{error}"
    );
    assert_eq!(
        failed.actions,
        ["shutdown completed", "resize errored", "power_on completed"]
    );
    has(story, LARGE).await?;

    // It is refused, when the machine is off.
    simulator
        .fault(&json!({"fault": "resize_refused", "when": {"nth": 1}}))
        .await?;
    let failed = change(story, SMALL).await?;
    let error = failed.error.unwrap_or_default();
    assert!(error.contains("too large to fit"), "{error}");
    assert_eq!(
        failed.actions,
        ["shutdown completed", "power_on completed"],
        "what is refused is no action"
    );
    has(story, LARGE).await?;

    let down = change(story, SMALL).await?;
    assert_eq!(down.error, None);
    has(story, SMALL).await?;
    story.was_created(1).await?;
    firewall::is_the_only_one(story).await
}

/// Nothing is asked of DigitalOcean, and nothing is to be seen of it.
async fn smaller_disk_is_refused(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let (boot, actions) = (machine.turned_on_at().await?, actions(story).await?);
    let before = story.cluster.admin.environment().await?;
    let refusal = refused(story.cluster.admin.scale(SMALLER_DISK).await, "not_offered")?;
    let said = refusal.detail;
    assert!(said.contains("a disk can't shrink"), "{said}");
    let after = story.cluster.admin.environment().await?;
    assert_eq!(
        (after.status, after.scaling, after.size),
        (EnvironmentStatus::Active, None, before.size)
    );
    assert_eq!(actions, self::actions(story).await?);
    assert_eq!(boot, machine.turned_on_at().await?);
    has(story, SMALL).await
}

/// How a change of size went.
struct Change {
    /// What was asked of DigitalOcean, and how it ended.
    actions: Vec<String>,
    /// What the user was shown.
    phases: Vec<String>,
    error: Option<String>,
}

/// Asks for a size, sees the machine go off, and waits until both tools answer again.
async fn change(story: &Story, size: &str) -> anyhow::Result<Change> {
    let admin = &story.cluster.admin;
    let machine = story.cluster.machine().await?;
    let (known_actions, known_phases) = (actions(story).await?.len(), phases(story).await?.len());
    let boot = machine.turned_on_at().await?;
    let wanted = admin.scale(size).await?;
    assert_eq!(wanted.status, EnvironmentStatus::Scaling);
    wait_for(BOOT, "the machine to be off", async || {
        anyhow::ensure!(!machine.is_on().await?, "it is on");
        Ok(())
    })
    .await?;
    let environment = admin
        .wait_environment(EnvironmentStatus::Active, HEALED + BOOT)
        .await?;
    story.serves(HEALED).await?;
    assert_ne!(machine.turned_on_at().await?, boot);
    assert_eq!(
        environment.machine_id,
        Some(machine.id.to_string()),
        "it is the same machine"
    );
    Ok(Change {
        actions: actions(story).await?.split_off(known_actions),
        phases: phases(story).await?.split_off(known_phases),
        error: environment.error_message,
    })
}

/// Everybody says that the machine has a size: the record, DigitalOcean, the kernel, the agent.
async fn has(story: &Story, size: &str) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let droplet = story.cluster.simulator.droplets().await?.remove(0);
    assert_eq!(droplet["size"], size, "{droplet}");
    assert_eq!(droplet["status"], "active", "{droplet}");

    let (processors, gigabytes) = if size == LARGE { (2, 4) } else { (1, 2) };
    // The engine gives no machine more processors than this host has.
    let there_are: u64 = docker(&["info", "--format", "{{.NCPU}}"]).await?.parse()?;
    let hardware = Hardware {
        cpu_millis: 1000 * there_are.min(processors),
        memory_bytes: gigabytes << 30,
    };
    assert_eq!(machine.hardware().await?, hardware);
    let disk = "df --output=size -BG /var/lib/docker | tail -n 1 | tr -dc 0-9";
    let disk: u32 = machine.shell(disk).await?.parse()?;
    assert!((45..=50).contains(&disk), "the disk stays: {disk} GB");

    wait_for(HEALED, "the agent to tell what there is", async || {
        let environment = story.cluster.admin.environment().await?;
        anyhow::ensure!(
            environment.size.as_deref() == Some(size),
            "{:?}",
            environment.size
        );
        let told = environment.capacity.map(|it| u64::from(it.cpu_millis));
        anyhow::ensure!(told == Some(hardware.cpu_millis), "{told:?}");
        Ok(())
    })
    .await
}

/// All actions of the machine's droplet, oldest first, each with its end.
async fn actions(story: &Story) -> anyhow::Result<Vec<String>> {
    let machine = story.cluster.machine().await?;
    let path = format!("/v2/droplets/{}/actions?per_page=200", machine.id);
    let answer = story.cluster.simulator.get(&path).await?;
    let list = answer["actions"].as_array().into_iter().flatten().rev();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(list
        .map(|action| format!("{} {}", text(&action["type"]), text(&action["status"])))
        .collect())
}

/// The phases of all changes of size that the timeline has, oldest first.
async fn phases(story: &Story) -> anyhow::Result<Vec<String>> {
    let environment = story.cluster.admin.environment().await?;
    let timeline = story.cluster.admin.timeline(environment.id.as_uuid());
    Ok(timeline
        .await?
        .iter()
        .filter(|event| event.kind == "environment.scaling_progress")
        .filter_map(|event| event.data["phase"].as_str().map(str::to_owned))
        .collect())
}
