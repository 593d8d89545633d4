//! Data outlives containers, and goes only when it is purged.

use agentopia_domain::spec::VolumeSpec;
use agentopia_dtma::runtime::Runtime as _;

use crate::machine::Machine;

#[tokio::test]
async fn data_is_the_tools_own_survives_removal_and_goes_with_a_purge() {
    use std::os::unix::fs::MetadataExt as _;
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".into(),
        of: None,
    });
    machine.start(&spec).await;
    let name = format!("agentopia-{}-data", spec.instance_id);
    let mountpoint = machine
        .docker
        .inspect_volume(&name)
        .await
        .unwrap()
        .mountpoint;
    let user = machine.inspect(&spec).await.config.unwrap().user.unwrap();
    let owner = std::fs::metadata(&mountpoint).unwrap().uid();
    assert_eq!(user, format!("{owner}:{owner}"));
    std::fs::write(format!("{mountpoint}/kept"), "kept").unwrap();

    machine
        .runtime
        .remove(spec.instance_id, false)
        .await
        .unwrap();
    assert_eq!(machine.everything().await, [format!("volume {name}")]);
    assert!(
        machine.runtime.observe().await.unwrap().is_empty(),
        "a kept volume is no leftover"
    );
    machine.start(&spec).await;
    assert_eq!(
        std::fs::read_to_string(format!("{mountpoint}/kept")).unwrap(),
        "kept"
    );
    assert_eq!(
        machine.inspect(&spec).await.config.unwrap().user.unwrap(),
        user,
        "its files are still its own"
    );

    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert!(machine.everything().await.is_empty());
}
