//! A droplet gets another size (ENV-10), and whatever goes wrong it ends up on, with its agent
//! heard and the reason told.

use agentopia_domain::environment::{Environment, EnvironmentStatus, ScalingPhase};
use digitalocean_sim::faults::{Answer, RequestRule, ResourceFault, When};

use crate::droplets::Droplets;

const SMALL: &str = "s-1vcpu-2gb";
const LARGE: &str = "s-2vcpu-4gb";

fn is_active(environment: &Environment) -> bool {
    environment.status == EnvironmentStatus::Active
}

/// Makes sure that the one droplet is on with `size`, and that the environment says so.
async fn serves_with(droplets: &Droplets, size: &str) -> Environment {
    let [droplet] = &droplets.droplets().await[..] else {
        panic!("not one droplet");
    };
    assert_eq!(
        (droplet.status.as_str(), droplet.size.as_str()),
        ("active", size)
    );
    let now = droplets.now().await;
    assert_eq!(now.size.as_deref(), Some(size));
    assert_eq!(now.machine_id, Some(droplet.id.to_string()));
    assert_eq!(now.scaling, None);
    let heard = droplets.at.ambient.now() - now.last_heartbeat_at.unwrap();
    assert!(heard.num_seconds() <= 10, "its agent is heard");
    now
}

#[tokio::test]
async fn a_machine_gets_another_size_step_by_step() {
    let mut droplets = Droplets::active().await;
    assert_eq!(droplets.now().await.monthly_price_cents, Some(1200));
    droplets.scale(LARGE).await;
    assert_eq!(droplets.now().await.status, EnvironmentStatus::Scaling);
    droplets.until(is_active).await;
    let now = serves_with(&droplets, LARGE).await;
    assert_eq!(now.monthly_price_cents, Some(2400));
    assert_eq!(now.machine_disk_bytes, Some(50 << 30), "its disk stays");
    assert_eq!(now.error_message, None);

    let timeline = droplets.timeline().await;
    let phases: Vec<&str> = timeline
        .iter()
        .filter(|event| event.kind == "environment.scaling_progress")
        .map(|event| event.data["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        phases,
        ["resizing", "starting", "reporting", "returning_tools"]
    );
    let told = |kind: &str| timeline.iter().any(|event| event.kind == kind);
    assert!(
        !told("environment.machine_started"),
        "nobody else turned it on"
    );
    assert!(timeline.last().unwrap().message.contains(LARGE));

    // And down again: its disk still fits.
    droplets.scale(SMALL).await;
    droplets.until(is_active).await;
    serves_with(&droplets, SMALL).await;
}

#[tokio::test]
async fn whatever_fails_the_machine_serves_with_its_old_size_and_the_reason_is_told() {
    type Trouble = (&'static str, fn(&Droplets), &'static str);
    let troubles: [Trouble; 6] = [
        (
            "refused",
            |rig| rig.fault(ResourceFault::ResizeRefused, None, When::nth(1)),
            "too large to fit",
        ),
        (
            "errored",
            |rig| rig.fault(ResourceFault::ActionErrored, Some("resize"), When::nth(1)),
            "could not give the machine the new size",
        ),
        (
            "rolled back",
            |rig| {
                rig.fault(
                    ResourceFault::ActionRolledBack,
                    Some("resize"),
                    When::nth(1),
                )
            },
            "could not give the machine the new size",
        ),
        (
            "can't be turned off",
            |rig| {
                rig.fault(ResourceFault::ShutdownIgnored, None, When::always());
                rig.fault(
                    ResourceFault::ActionErrored,
                    Some("power_off"),
                    When::always(),
                );
            },
            "could not be turned off",
        ),
        (
            "refused, and not turned on at once",
            |rig| {
                rig.fault(ResourceFault::ResizeRefused, None, When::nth(1));
                rig.fault(ResourceFault::ActionErrored, Some("power_on"), When::nth(1));
            },
            "too large to fit",
        ),
        (
            "takes for ever",
            |rig| {
                let mut settings = rig.simulator.settings();
                settings.delays.resize = "1h".to_owned().try_into().unwrap();
                rig.simulator.set_settings(settings);
            },
            "in time",
        ),
    ];
    for (name, trouble, said) in troubles {
        let mut droplets = Droplets::active().await;
        trouble(&droplets);
        droplets.scale(LARGE).await;
        droplets.until(is_active).await;
        let told = droplets.now().await.error_message.unwrap();
        assert!(
            told.contains(said) && told.contains(LARGE),
            "{name}: {told}"
        );
        let timeline = droplets.timeline().await;
        let in_timeline = |event: &agentopia_domain::event::Event| event.message.contains(said);
        assert!(timeline.iter().any(in_timeline), "{name}");
        if name == "takes for ever" {
            // Nothing can be done to it before that ends; it is turned on as soon as it has.
            droplets.pass(3600).await;
            for _ in 0..30 {
                droplets.step().await;
                droplets.pass(5).await;
            }
            let now = serves_with(&droplets, LARGE).await;
            assert_eq!(now.status, EnvironmentStatus::Active);
            continue;
        }
        serves_with(&droplets, SMALL).await;
        // It can be tried again.
        droplets.simulator.set_faults(Default::default());
        droplets.scale(LARGE).await;
        droplets.until(is_active).await;
        let now = serves_with(&droplets, LARGE).await;
        assert_eq!(now.error_message, None, "{name}");
    }
}

#[tokio::test]
async fn a_shutdown_that_nothing_comes_of_ends_with_the_power_cut() {
    let mut droplets = Droplets::active().await;
    droplets.fault(ResourceFault::ShutdownIgnored, None, When::always());
    droplets.scale(LARGE).await;
    droplets
        .until(|now| {
            now.scaling
                .as_ref()
                .is_some_and(|scaling| scaling.phase == ScalingPhase::PoweringOff)
        })
        .await;
    droplets.until(is_active).await;
    serves_with(&droplets, LARGE).await;
}

#[tokio::test]
async fn a_restart_of_the_control_plane_at_any_point_changes_nothing() {
    // After every look a new control plane goes on; and in every second round it was asked for
    // something and died before it heard the answer.
    for lost in [false, true] {
        let mut droplets = Droplets::active().await;
        if lost {
            droplets.simulator.add_request_fault(
                RequestRule::new(Answer::Closed)
                    .on("POST", "/v2/droplets/*/actions")
                    .after_side_effect(),
            );
        }
        droplets.scale(LARGE).await;
        for _ in 0..500 {
            if is_active(&droplets.now().await) {
                break;
            }
            droplets.step().await;
            droplets.restart();
            droplets.pass(3).await;
        }
        serves_with(&droplets, LARGE).await;
        assert_eq!(droplets.now().await.status, EnvironmentStatus::Active);
    }
}

#[tokio::test]
async fn an_agent_that_stays_away_is_told_of_and_supervised_again() {
    let mut droplets = Droplets::active().await;
    droplets.scale(LARGE).await;
    droplets.is_mute = true;
    let now = droplets
        .until(|now| now.status == EnvironmentStatus::Unresponsive)
        .await;
    assert_eq!(now.size.as_deref(), Some(LARGE));
    assert!(now.error_message.unwrap().contains("does not report"));
    droplets.is_mute = false;
    droplets.until(is_active).await;
}

#[tokio::test]
async fn a_machine_that_vanishes_meanwhile_is_made_anew_with_its_old_size() {
    let mut droplets = Droplets::active().await;
    droplets.scale(LARGE).await;
    droplets.step().await;
    droplets.pass(15).await;
    let droplet = droplets.droplets().await[0].id;
    assert!(droplets.simulator.destroy(droplet).await);
    let again = droplets
        .until(|now| now.status == EnvironmentStatus::Creating && now.machine_id.is_some())
        .await;
    assert_eq!((again.scaling, again.size.as_deref()), (None, Some(SMALL)));
    assert_ne!(again.machine_id, Some(droplet.to_string()));
}

#[tokio::test]
async fn a_machine_that_is_no_longer_wanted_goes_from_any_phase() {
    for phase in ScalingPhase::ALL {
        let mut droplets = Droplets::active().await;
        if phase == ScalingPhase::PoweringOff {
            droplets.fault(ResourceFault::ShutdownIgnored, None, When::always());
        }
        droplets.scale(LARGE).await;
        let reached = |now: &Environment| {
            now.scaling
                .as_ref()
                .is_some_and(|scaling| scaling.phase == phase)
        };
        if phase != ScalingPhase::ReturningTools {
            droplets.until(reached).await;
        }
        let environments = droplets.at.store.environments();
        let disabled = agentopia_domain::environment::DesiredEnvironment::Disabled;
        environments
            .set_desired(droplets.account, disabled, &[])
            .await
            .unwrap();
        droplets
            .until(|now| now.status == EnvironmentStatus::Deleted)
            .await;
        assert!(droplets.droplets().await.is_empty(), "{phase:?}");
    }
}
