//! How many calls of an instance are under way, so that one that is replaced is stopped only when the
//! last of them has its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentopia_domain::InstanceId;
use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use dashmap::DashMap;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How often it is looked whether it is quiet. Being quiet for a while is no event that could be waited for, and
/// a look is nothing beside that while.
const LOOK: Duration = Duration::from_millis(100);

/// The calls of all instances.
#[derive(Debug, Default)]
pub(super) struct Loads(DashMap<InstanceId, Arc<Load>>);

#[derive(Debug)]
struct Load {
    open: AtomicUsize,
    /// When a call began or ended last.
    last: Mutex<Instant>,
}

/// A call, until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Load>);

impl Load {
    fn touch(&self) {
        *self.last.lock() = Instant::now();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.touch();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Loads {
    /// A call begins.
    pub(super) fn begin(&self, instance: InstanceId) -> Open {
        let known = self.0.get(&instance).map(|load| Arc::clone(&load));
        let load = known.unwrap_or_else(|| {
            let new = || {
                Arc::new(Load {
                    open: AtomicUsize::new(0),
                    last: Mutex::new(Instant::now()),
                })
            };
            Arc::clone(&*self.0.entry(instance).or_insert_with(new))
        });
        load.open.fetch_add(1, Ordering::AcqRel);
        load.touch();
        Open(load)
    }

    /// Returns when nothing was under way for as long as `settle`.
    pub(super) async fn quiet(&self, instance: InstanceId, settle: Duration) {
        let begun = Instant::now();
        loop {
            let load = self.0.get(&instance).map(|load| Arc::clone(&load));
            let since = match load {
                Some(load) if load.open.load(Ordering::Acquire) > 0 => None,
                Some(load) => Some(load.last.lock().max(begun)),
                None => Some(begun),
            };
            if since.is_some_and(|since| since.elapsed() >= settle) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The instance is stopped.
    pub(super) fn forget(&self, instance: InstanceId) {
        self.0
            .remove_if(&instance, |_, load| load.open.load(Ordering::Acquire) == 0);
    }
}

/// The answer, with which the call ends. One that is there as a whole has ended.
pub(super) fn until_answered(open: Open, response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_end = &open;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentopia_domain::Ambient;
    use futures::StreamExt as _;

    const SETTLE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn it_is_quiet_a_while_after_the_last_answer() {
        let loads = Loads::default();
        let id = Ambient::system().new_id();
        let begun = Instant::now();
        loads.quiet(id, SETTLE).await;
        assert!(begun.elapsed() >= SETTLE);

        let lines = futures::stream::once(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok::<_, std::io::Error>("done")
        });
        let answer = until_answered(
            loads.begin(id),
            Response::new(Body::from_stream(lines.boxed())),
        );
        let begun = Instant::now();
        let reading = async {
            let read = axum::body::to_bytes(answer.into_body(), 100).await;
            assert_eq!(read.unwrap(), "done");
        };
        tokio::join!(loads.quiet(id, SETTLE), reading);
        assert!(begun.elapsed() >= Duration::from_secs(65));
        loads.forget(id);
        assert!(loads.0.is_empty());
    }

    #[test]
    fn an_answer_that_is_there_as_a_whole_has_ended() {
        let loads = Loads::default();
        let id = Ambient::system().new_id();
        let answer = until_answered(loads.begin(id), Response::new(Body::from("{}")));
        loads.forget(id);
        assert!(loads.0.is_empty());
        drop(answer);
    }
}
