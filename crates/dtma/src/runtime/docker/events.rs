//! The engine's own word that a container ended. A hint: the reconciler looks for itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use bollard::Docker;
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{firewall, names};

/// Pause before the engine is asked again, growing to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How far back events are asked for; the engine takes whole seconds.
const OVERLAP: TimeDelta = TimeDelta::seconds(2);

/// What follows the engine's events.
pub(super) struct Events {
    pub(super) docker: Docker,
    pub(super) environment: EnvironmentId,
    /// Where instances go whose container ended.
    pub(super) exits: broadcast::Sender<InstanceId>,
    /// Grows as soon as the engine's stream ends: before the engine can tell anybody what ended
    /// with it.
    pub(super) interruptions: Arc<AtomicU64>,
    pub(super) ambient: Ambient,
}

impl Events {
    /// Sends the instance of every container of ours that ends, until told to stop. When the engine
    /// went away and is back, sends all of them: anything may have ended meanwhile (an engine
    /// without live-restore ends every container when it starts again).
    pub(super) async fn follow(self, stop: CancellationToken) {
        tokio::select! {
            () = self.work() => (),
            () = stop.cancelled() => (),
        }
    }

    async fn work(&self) {
        let mut pause = FIRST_PAUSE;
        let mut was_away = false;
        loop {
            // The stream opens with its first poll, some time after this: the engine then tells of
            // what ended in between. Twice is fine.
            let options = options(self.environment, self.ambient.now() - OVERLAP);
            let mut events = std::pin::pin!(self.docker.events(Some(options)));
            if was_away && let Ok(ids) = all(&self.docker, self.environment).await {
                tracing::info!("the Docker Engine answers again");
                firewall::close_metadata_service().await;
                was_away = false;
                pause = FIRST_PAUSE;
                for id in ids {
                    // Nobody listening is fine: they look when they start.
                    let _ = self.exits.send(id);
                }
            }
            while let Some(Ok(event)) = events.next().await {
                let labels = event.actor.and_then(|actor| actor.attributes);
                if let Some(id) = names::instance(labels.as_ref()) {
                    let _ = self.exits.send(id);
                }
            }
            if !was_away {
                tracing::warn!("the Docker Engine's event stream ended; opening it again");
                self.interruptions.fetch_add(1, Ordering::Relaxed);
            }
            was_away = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn options(environment: EnvironmentId, since: DateTime<Utc>) -> EventsOptions {
    let mut filters: HashMap<String, Vec<String>> = names::filter(environment);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    filters.insert("event".to_owned(), vec!["die".to_owned()]);
    EventsOptions {
        since: Some(since.timestamp().to_string()),
        filters: Some(filters),
        ..EventsOptions::default()
    }
}

async fn all(
    docker: &Docker,
    environment: EnvironmentId,
) -> Result<Vec<InstanceId>, bollard::errors::Error> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(names::filter(environment)),
        ..ListContainersOptions::default()
    };
    let containers = docker.list_containers(Some(options)).await?;
    Ok(containers
        .iter()
        .filter_map(|container| names::instance(container.labels.as_ref()))
        .collect())
}
