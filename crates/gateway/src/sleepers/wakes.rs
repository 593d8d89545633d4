//! The wakes under way: one for each instance, in a task of its own, so that who gives up leaves
//! nothing behind and who comes later waits along. What is waited for is the route table: it says when
//! the instance runs, and why if it can't.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::core::Core;
use crate::routes::{InstanceRoute, Rest};
use crate::upstream::UpstreamError;

/// How often an instance that is to wake and still sleeps by the table is woken again: the table may
/// be old, or another replica may have put it to sleep again.
const AGAIN: Duration = Duration::from_secs(5);

type Waking = Shared<BoxFuture<'static, Result<(), UpstreamError>>>;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Wakes(Mutex<HashMap<InstanceId, Waking>>);

impl Wakes {
    /// Whether one is under way.
    pub(crate) fn is_waking(&self, instance: InstanceId) -> bool {
        self.0.lock().contains_key(&instance)
    }

    /// Wakes it, or joins who does already.
    fn join(&self, core: &Arc<Core>, instance: InstanceId) -> Waking {
        let mut under_way = self.0.lock();
        let waking = under_way.entry(instance).or_insert_with(|| {
            let core = core.clone();
            let task = tokio::spawn(async move {
                let outcome = tokio::select! {
                    outcome = wake(&core, instance) => outcome,
                    () = core.stopped.cancelled() => Err(UpstreamError::Cancelled),
                };
                core.wakes.0.lock().remove(&instance);
                outcome
            });
            async move { task.await.unwrap_or(Err(UpstreamError::Broken)) }
                .boxed()
                .shared()
        });
        waking.clone()
    }

    /// Has it woken and doesn't wait.
    pub(crate) fn begin(&self, core: &Arc<Core>, instance: InstanceId) {
        drop(self.join(core, instance));
    }
}

/// Whether calls can go there as they are.
pub(crate) fn is_up(core: &Core, route: &InstanceRoute) -> bool {
    match route.rest {
        Rest::Never | Rest::Awake => true,
        // Started otherwise than by a call: trying is cheap.
        Rest::Starting => !core.wakes.is_waking(route.id),
        Rest::Asleep => route.available.is_err(),
    }
}

/// The route of an instance once it runs; wakes it if it is asleep.
pub(crate) async fn up(
    core: &Arc<Core>,
    route: &Arc<InstanceRoute>,
) -> Result<Arc<InstanceRoute>, UpstreamError> {
    if is_up(core, route) {
        return Ok(route.clone());
    }
    let patience = core.config.wake_timeout;
    let waking = core.wakes.join(core, route.id);
    let woken = tokio::time::timeout(patience, waking).await;
    woken.unwrap_or(Err(UpstreamError::Waking(patience)))?;
    core.routes.get(route.id).ok_or(UpstreamError::Unlinked)
}

/// Until it runs, or is known not to.
async fn wake(core: &Arc<Core>, instance: InstanceId) -> Result<(), UpstreamError> {
    let mut changes = core.routes.changes();
    loop {
        changes.mark_unchanged();
        let route = core.routes.get(instance).ok_or(UpstreamError::Unlinked)?;
        if let Err(reason) = &route.available {
            return Err(UpstreamError::Unavailable(reason.clone()));
        }
        match route.rest {
            Rest::Never | Rest::Awake => return Ok(()),
            Rest::Asleep => core
                .waker
                .wake(instance)
                .await
                .map_err(UpstreamError::Unavailable)?,
            Rest::Starting => {}
        }
        // The sender lives as long as the core.
        let _late = tokio::time::timeout(AGAIN, changes.changed()).await;
    }
}
