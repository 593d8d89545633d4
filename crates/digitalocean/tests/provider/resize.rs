//! Power and resize actions are begun once, found again, and never touch the disk.

use agentopia_cloud::{
    Begun, GB, MachineAction, MachineProvider as _, MachineState, OperationState, ProviderError,
};
use digitalocean_sim::faults::{Answer, RequestRule, ResourceFault, When};
use digitalocean_sim::journal::JournalFilter;

use crate::rig::{Rig, seconds};

/// A droplet that is on and can be reached.
async fn running(rig: &Rig) -> String {
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(60).await;
    let found = rig.provider.find(rig.sought(Some(&made.id))).await;
    assert_eq!(found.unwrap().unwrap().state, MachineState::Running);
    made.id
}

async fn act(rig: &Rig, known: &str, action: MachineAction<'_>) -> Result<Begun, ProviderError> {
    rig.provider.act(rig.sought(Some(known)), action).await
}

/// Does it, and waits for its end.
async fn done(rig: &Rig, known: &str, action: MachineAction<'_>) -> OperationState {
    let Begun::Operation(id) = act(rig, known, action).await.unwrap() else {
        panic!("{action:?}: nothing to do");
    };
    loop {
        let sought = rig.sought(Some(known));
        match rig.provider.operation(sought, &id).await.unwrap() {
            OperationState::InProgress => seconds(1).await,
            ended => return ended,
        }
    }
}

fn actions_asked(rig: &Rig) -> usize {
    let filter = JournalFilter {
        method: Some("POST".to_owned()),
        ..JournalFilter::default()
    };
    let entries = rig.simulator.journal(&filter);
    entries
        .iter()
        .filter(|entry| entry.path.ends_with("/actions"))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_machine_gets_another_size_and_keeps_its_disk() {
    let rig = Rig::new();
    let id = running(&rig).await;
    let completed = OperationState::Completed;
    assert_eq!(done(&rig, &id, MachineAction::ShutDown).await, completed);
    assert_eq!(
        act(&rig, &id, MachineAction::PowerOff).await.unwrap(),
        Begun::AlreadySo
    );
    let resize = MachineAction::Resize("s-2vcpu-4gb");
    assert_eq!(done(&rig, &id, resize).await, completed);
    assert_eq!(act(&rig, &id, resize).await.unwrap(), Begun::AlreadySo);
    assert_eq!(done(&rig, &id, MachineAction::PowerOn).await, completed);
    seconds(10).await;
    let machine = rig.provider.find(rig.sought(Some(&id))).await;
    let machine = machine.unwrap().unwrap();
    assert_eq!(machine.state, MachineState::Running);
    assert_eq!(machine.size.as_deref(), Some("s-2vcpu-4gb"));
    assert_eq!(machine.disk_bytes, Some(50 * GB), "the disk stays");
    assert_eq!(machine.monthly_price_cents, Some(2400));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_found_after_an_answer_was_lost() {
    let rig = Rig::new();
    let mut settings = rig.simulator.settings();
    settings.delays.shutdown = "20s".to_owned().try_into().unwrap();
    rig.simulator.set_settings(settings);
    let id = running(&rig).await;
    rig.request_fault(
        RequestRule::new(Answer::Closed)
            .on("POST", &format!("/v2/droplets/{id}/actions"))
            .when(When::nth(1))
            .after_side_effect(),
    );
    let lost = act(&rig, &id, MachineAction::ShutDown).await.unwrap_err();
    assert!(matches!(lost, ProviderError::Retryable(_)), "{lost}");
    let busy = act(&rig, &id, MachineAction::PowerOff).await.unwrap_err();
    assert!(busy.to_string().contains("busy"), "{busy}");
    let again = act(&rig, &id, MachineAction::ShutDown).await.unwrap();
    assert!(matches!(again, Begun::Operation(_)));
    assert_eq!(actions_asked(&rig), 1, "it was not asked for again");
}

#[tokio::test(start_paused = true)]
async fn a_resize_that_fails_says_so() {
    let rig = Rig::new();
    let id = running(&rig).await;
    let resize = MachineAction::Resize("s-2vcpu-4gb");
    let on = act(&rig, &id, resize).await.unwrap_err();
    assert!(on.to_string().contains("powered off"), "{on}");
    done(&rig, &id, MachineAction::PowerOff).await;
    rig.resource_fault(ResourceFault::ResizeRefused, 0);
    let refused = act(&rig, &id, resize).await.unwrap_err();
    assert!(
        matches!(&refused, ProviderError::Final(text) if text.contains("choose a smaller size")),
        "{refused}"
    );
    rig.resource_fault(ResourceFault::ActionRolledBack, 0);
    assert_eq!(done(&rig, &id, resize).await, OperationState::Failed);
    let unknown = rig.provider.operation(rig.sought(Some(&id)), "1").await;
    assert_eq!(unknown.unwrap(), OperationState::Failed);
}

#[tokio::test(start_paused = true)]
async fn sizes_are_asked_for_now_and_then() {
    let rig = Rig::new();
    let asked = || {
        let filter = JournalFilter {
            path: Some("/v2/sizes".to_owned()),
            ..JournalFilter::default()
        };
        rig.simulator.journal(&filter).len()
    };
    let sizes = rig.provider.sizes().await.unwrap();
    let found = sizes.iter().find(|size| size.name == "s-1vcpu-2gb");
    let size = found.unwrap();
    assert_eq!((size.vcpus, size.monthly_price_cents), (1, 1200));
    assert_eq!((size.memory_bytes, size.disk_bytes), (2 << 30, 50 * GB));
    assert!(size.is_in("fra1"));
    let prices: Vec<u32> = sizes.iter().map(|size| size.monthly_price_cents).collect();
    assert!(prices.is_sorted(), "{prices:?}");
    rig.provider.sizes().await.unwrap();
    assert_eq!(asked(), 1);
    seconds(3600).await;
    rig.provider.sizes().await.unwrap();
    assert_eq!(asked(), 2);
}
