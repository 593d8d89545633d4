//! A thread that does nothing but start children.
//!
//! A parent-death signal comes when the *thread* that forked ends, not the process. The threads of
//! an async runtime come and go, so forking happens on one that lives as long as the process.

use std::io;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::broken;
use crate::runtime::RuntimeError;

/// How many starts may wait.
const BACKLOG: usize = 64;

type Job = (Box<Command>, oneshot::Sender<io::Result<Child>>);

/// Starts children on its own thread. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Spawner(mpsc::Sender<Job>);

impl Spawner {
    /// Starts the thread. Has to be called inside an async runtime, which then owns the children.
    pub(super) fn new() -> Self {
        let (jobs, mut todo) = mpsc::channel::<Job>(BACKLOG);
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _inside = runtime.enter();
            while let Some((mut command, answer)) = todo.blocking_recv() {
                // Whoever asked may be gone: the child then ends at once (`kill_on_drop`).
                let _ = answer.send(command.spawn());
            }
        });
        Self(jobs)
    }

    /// Starts a child.
    pub(super) async fn spawn(&self, command: Command) -> Result<io::Result<Child>, RuntimeError> {
        let (answer, outcome) = oneshot::channel();
        self.0
            .send((Box::new(command), answer))
            .await
            .map_err(|_| broken("the thread that starts tools"))?;
        outcome
            .await
            .map_err(|_| broken("the thread that starts tools"))
    }
}
