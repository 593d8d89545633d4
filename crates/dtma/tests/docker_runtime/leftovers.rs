//! A DTMA can be killed anywhere: what it left half-made is found, used or removed. What is not
//! its own is left alone.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_dtma::runtime::{ErrorCode, Progress, RunState, Runtime as _};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};

use crate::machine::{Machine, secrets};

#[tokio::test]
async fn a_start_that_was_cut_off_after_prepare_is_seen_and_completed() {
    let mut machine = Machine::new().await;
    let spec = machine.echo().await;
    machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    machine.restart().await;
    let observed = machine.runtime.observe().await.unwrap();
    assert_eq!(
        (observed.len(), &observed[0].state),
        (1, &RunState::Partial)
    );
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
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
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    assert_eq!(machine.everything().await.len(), 1);
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert!(machine.everything().await.is_empty());
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
