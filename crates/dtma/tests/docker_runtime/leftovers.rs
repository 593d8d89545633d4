//! A DTMA can be killed anywhere: what it left half-made is found, used or removed. What is not
//! its own is left alone.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma::runtime::{ErrorCode, Progress, RunState, Runtime as _};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};

use crate::machine::{Machine, secrets};

/// As if killed when the network was made and the container was not: network and container are
/// made at the same time, so either can be missing.
async fn without_container(machine: &mut Machine, spec: &InstanceSpec) {
    machine.start(spec).await;
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    let name = format!("agentopia-{}", spec.instance_id);
    machine
        .docker
        .remove_container(&name, Some(options))
        .await
        .unwrap();
    machine.restart().await;
}

/// As if killed when the container was made and the network was not.
async fn without_network(machine: &mut Machine, spec: &InstanceSpec) {
    machine.start(spec).await;
    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(2))
        .await
        .unwrap();
    let name = format!("agentopia-{}", spec.instance_id);
    machine.docker.remove_network(&name).await.unwrap();
    machine.restart().await;
}

#[tokio::test]
async fn a_start_that_was_cut_off_after_prepare_is_done_again() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    machine.restart().await;
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
}

#[tokio::test]
async fn a_network_without_its_container_is_seen_and_used() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    without_container(&mut machine, &spec).await;
    let observed = machine.runtime.observe().await.unwrap();
    assert_eq!(
        (observed.len(), &observed[0].state),
        (1, &RunState::Partial)
    );
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
}

#[tokio::test]
async fn a_container_without_its_network_keeps_what_was_allocated_to_it() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let before = machine.inspect(&spec).await.config.unwrap();
    without_network(&mut machine, &spec).await;
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
    let container = machine.inspect(&spec).await.config.unwrap();
    assert_eq!(
        (&container.user, &container.labels),
        (&before.user, &before.labels)
    );
    let name = format!("agentopia-{}", spec.instance_id);
    let network = machine.docker.inspect_network(&name, None).await.unwrap();
    let (network, container) = (network.labels.unwrap(), container.labels.unwrap());
    for label in ["agentopia.uid", "agentopia.port"] {
        assert!(container.contains_key(label), "{container:?}");
        assert_eq!(network.get(label), container.get(label), "{label}");
    }
}

/// As if killed while the engine was making a network that the next start did not see yet.
async fn with_a_second_network(machine: &mut Machine, spec: &InstanceSpec) {
    let name = format!("agentopia-{}", spec.instance_id);
    let network = machine.docker.inspect_network(&name, None).await.unwrap();
    let request = bollard::models::NetworkCreateRequest {
        name,
        driver: Some("bridge".to_owned()),
        labels: network.labels,
        ..bollard::models::NetworkCreateRequest::default()
    };
    machine.docker.create_network(request).await.unwrap();
    machine.restart().await;
}

#[tokio::test]
async fn two_networks_of_one_name_are_made_one() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    let name = format!("agentopia-{}", spec.instance_id);
    // Before the container was made, and after it ran.
    without_container(&mut machine, &spec).await;
    for _ in 0..2 {
        with_a_second_network(&mut machine, &spec).await;
        machine.start(&spec).await;
        machine.session(&spec).await.close().await;
        let all = machine.docker.list_networks(None).await.unwrap();
        let named = all.iter().filter(|n| n.name.as_ref() == Some(&name));
        assert_eq!(named.count(), 1);
        machine
            .runtime
            .stop(spec.instance_id, Duration::from_secs(2))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_container_that_was_made_and_never_started_is_used() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    // As if killed between create and start: stop it, and forget that it ran.
    machine.start(&spec).await;
    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(2))
        .await
        .unwrap();
    machine.restart().await;
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
}

#[tokio::test]
async fn half_made_things_are_removed_like_whole_ones() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    for only_network in [true, false] {
        if only_network {
            without_container(&mut machine, &spec).await;
        } else {
            without_network(&mut machine, &spec).await;
        }
        assert_eq!(machine.everything().await.len(), 1);
        machine
            .runtime
            .remove(spec.instance_id, true)
            .await
            .unwrap();
        assert!(machine.everything().await.is_empty());
    }
}

#[tokio::test]
async fn a_container_of_somebody_else_with_our_name_is_not_touched() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    let prepared = machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    let foreign = ContainerCreateBody {
        image: Some(spec.program.image.reference()),
        labels: Some(HashMap::from([(
            "agentopia.instance".to_owned(),
            spec.instance_id.to_string(),
        )])),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptions {
        name: Some(format!("agentopia-{}", spec.instance_id)),
        ..CreateContainerOptions::default()
    };
    let id = machine
        .docker
        .create_container(Some(options), foreign)
        .await
        .unwrap()
        .id;
    let error = machine
        .runtime
        .start(&spec, &prepared, secrets(&[]))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("not ours"), "{error}");
    assert!(
        machine
            .runtime
            .remove(spec.instance_id, true)
            .await
            .is_err()
    );
    let still = machine.docker.inspect_container(&id, None).await.is_ok();
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    machine
        .docker
        .remove_container(&id, Some(options))
        .await
        .unwrap();
    assert!(still);
}

#[tokio::test]
async fn a_spec_for_another_machine_is_refused() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.environment_id = agentopia_domain::Ambient::system().new_id();
    let error = machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(machine.everything().await.is_empty());
}
